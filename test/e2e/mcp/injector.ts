// Stands where a client stands that has signed in: adds the Authorization header to whatever passes, and nothing else.

import { createServer, request as startRequest } from 'node:http'
import { once } from 'node:events'
import { LOOPBACK } from '../../../dev/server.ts'

export type Injector = { readonly origin: string; readonly close: () => Promise<void> }

/** Requests go to the target with the header; the path of a request is appended to it. */
export async function startInjector(target: string, authorization: string): Promise<Injector> {
  const base = new URL(target)
  const server = createServer((request, response) => {
    const headers = { ...request.headers, authorization }
    const path = `${base.pathname.replace(/\/$/, '')}${request.url === '/' ? '' : (request.url ?? '')}`
    const onward = startRequest({ hostname: base.hostname, port: base.port, path, method: request.method, headers })
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      response.flushHeaders()
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    origin: `http://${LOOPBACK}:${port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
