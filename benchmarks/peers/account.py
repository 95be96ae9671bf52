"""The one account that every peer signs in."""

NAME = "somebody"
EMAIL = "somebody@example.com"
PASSWORD = "correct horse battery staple"
SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

ENVIRONMENT = {
    "ACCOUNT": NAME,
    "ACCOUNT_EMAIL": EMAIL,
    "ACCOUNT_PASSWORD": PASSWORD,
    "SECRET": SECRET,
}
