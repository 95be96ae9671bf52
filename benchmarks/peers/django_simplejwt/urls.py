"""Sign in with simplejwt's own view; say who a token belongs to; put it on the blacklist."""

from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.views import TokenObtainSlidingView


@api_view()
@permission_classes([IsAuthenticated])
def who_am_i(request: Request) -> Response:
    user = request.user
    return Response({"id": user.id, "username": user.username, "email": user.email})


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def log_out(request: Request) -> Response:
    request.auth.blacklist()
    return Response(status=204)


urlpatterns = [
    path("token", TokenObtainSlidingView.as_view()),
    path("log_out", log_out),
    path("v1/backoffice/auth", who_am_i),
]
