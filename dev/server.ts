// One HTTP server of the local world: bound to the loopback address, recorded in the traffic, able to fail when asked.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Certificate } from './certificate.ts'
import type { Exchange, Role, Traffic } from './traffic.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse, exchange: Exchange) => void

export type RunningServer = {
  readonly origin: string
  /** The server listens before its handler exists, because what it says depends on its port. */
  readonly handle: (handler: Handler) => void
  readonly close: () => Promise<void>
}

export const LOOPBACK = '127.0.0.1'

export async function startServer(options: {
  readonly port: number
  readonly certificate?: Certificate
  readonly traffic: Traffic
  readonly roleOf: (path: string) => Role
}): Promise<RunningServer> {
  const { certificate, traffic, roleOf } = options
  let handler: Handler = (_request, response) => {
    response.writeHead(503).end()
  }
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '/'
    const exchange = traffic.begin({
      role: roleOf(path),
      method: request.method ?? 'GET',
      path,
      headers: headersOf(request),
    })
    response.once('close', () => {
      exchange.status = response.statusCode
    })
    const fault = traffic.faultFor(exchange)
    if (fault === undefined) {
      handler(request, response, exchange)
    } else if ('status' in fault) {
      request.resume()
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers }).end(fault.body ?? '{}')
    }
  }
  const server =
    certificate === undefined
      ? createServer(listener)
      : createTlsServer({ key: certificate.key, cert: certificate.cert }, listener)
  const port = await listen(server, options.port)
  return {
    origin: `${certificate === undefined ? 'http' : 'https'}://${LOOPBACK}:${port}`,
    handle: (next) => {
      handler = next
    },
    close: () =>
      new Promise((done) => {
        server.close(() => {
          done()
        })
        server.closeAllConnections()
      }),
  }
}

export class PortInUse extends Error {
  constructor(port: number) {
    super(`port ${port} on ${LOOPBACK} is in use by another program`)
    this.name = 'PortInUse'
  }
}

export async function readText(request: IncomingMessage, maxBytes = 64 * 1024): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxBytes) throw new RangeError('the body is too large')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function headersOf(request: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(request.headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]),
  )
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((done, fail) => {
    server.once('error', (error) => {
      fail('code' in error && error.code === 'EADDRINUSE' ? new PortInUse(port) : error)
    })
    server.listen(port, LOOPBACK, done)
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  const port = await listen(probe, 0)
  await new Promise((done) => probe.close(done))
  return port
}
