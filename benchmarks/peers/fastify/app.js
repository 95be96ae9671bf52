// Fastify, @fastify/jwt and ioredis: the plugin asks Redis about each token in its `trusted` hook.
import { randomUUID } from 'node:crypto'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import { Redis } from 'ioredis'

const { ACCOUNT, ACCOUNT_EMAIL, ACCOUNT_PASSWORD, PORT, REDIS_URL, SECRET } = process.env
const tuned = Boolean(process.env.TUNED)
const redis = new Redis(new URL(REDIS_URL).pathname, { enableAutoPipelining: tuned }) // a Unix socket
const app = Fastify()

if (process.env.GUARDED) {
  await app.register(helmet)
  await app.register(rateLimit, { redis, max: 10_000_000, timeWindow: '1 minute' })
}
await app.register(jwt, {
  secret: SECRET,
  sign: { expiresIn: '1h' },
  verify: { cache: tuned },
  trusted: async (request, token) => (await redis.exists(`revoked:${token.jti}`)) === 0
})

app.decorate('authenticate', async (request, reply) => {
  try {
    await request.jwtVerify()
  } catch (error) {
    reply.send(error)
  }
})

app.post('/log_in', async (request, reply) => {
  if (request.body.username !== ACCOUNT || request.body.password !== ACCOUNT_PASSWORD) {
    return reply.code(401).send({ message: 'Unauthorized' })
  }
  return { token: await reply.jwtSign({ jti: randomUUID(), id: 1, username: ACCOUNT, email: ACCOUNT_EMAIL }) }
})

app.post('/log_out', { onRequest: app.authenticate }, async (request, reply) => {
  await redis.set(`revoked:${request.user.jti}`, 1, 'EXAT', request.user.exp)
  return reply.code(204).send()
})

const answer = {
  type: 'object',
  properties: { id: { type: 'integer' }, username: { type: 'string' }, email: { type: 'string' } }
}

app.get(
  '/v1/backoffice/auth',
  { onRequest: app.authenticate, schema: { response: { 200: answer } } },
  async request => request.user
)

await app.listen({ host: '127.0.0.1', port: Number(PORT) })
