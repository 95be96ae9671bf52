// better-auth: sessions and users in SQLite, its bearer plugin, and getSession as its pages for servers show it.
import { createServer } from 'node:http'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { fromNodeHeaders, toNodeHandler } from 'better-auth/node'
import { bearer } from 'better-auth/plugins'
import Database from 'better-sqlite3'

const { DATA_DIR, PORT, SECRET } = process.env

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: SECRET,
  database: new Database(`${DATA_DIR}/auth.db`),
  emailAndPassword: { enabled: true },
  plugins: [bearer()],
  rateLimit: { enabled: false } // counts only its own endpoints, and would stop the benchmark from signing in
})
await (await getMigrations(auth.options)).runMigrations()

const handle = toNodeHandler(auth)

async function whoAmI (request, response) {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
  response.writeHead(session ? 200 : 401, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(session))
}

createServer((request, response) => {
  const answer = request.url === '/v1/backoffice/auth' ? whoAmI : handle
  answer(request, response).catch(() => response.writeHead(500).end())
}).listen(Number(PORT), '127.0.0.1')
