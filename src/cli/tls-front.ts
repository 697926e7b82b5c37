// TLS before a Worker's own socket, which speaks none: what comes out of it goes on as it is, byte by byte. Miniflare has a
// front of its own for https; that one obeys headers of the caller by which it chooses another URL.

import { connect, type Socket } from 'node:net'
import { createServer } from 'node:tls'

/** PEM texts. */
export type KeyPair = { readonly key: string; readonly cert: string }

export type TlsFront = { readonly close: () => Promise<void> }

/** Throws where key and certificate do not fit each other, or the port is taken. */
export async function startTlsFront(
  { key, cert }: KeyPair,
  { host, port, behind }: { readonly host: string; readonly port: number; readonly behind: number },
): Promise<TlsFront> {
  const sockets = new Set<Socket>()
  const server = createServer({ key, cert, ALPNProtocols: ['http/1.1'] }, (caller) => {
    const worker = connect({ port: behind, host: '127.0.0.1' })
    for (const [one, other] of [
      [caller, worker],
      [worker, caller],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.once('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // Those too whose handshake is not over: closing waits for them.
  server.on('connection', (raw: Socket) => {
    sockets.add(raw)
    raw.once('close', () => sockets.delete(raw))
  })
  server.once('error', reject)
  server.listen({ host, port }, resolve)
  await promise
  // A handshake that fails is the caller's, and one connection that cannot be taken is not the end.
  server.on('tlsClientError', () => undefined)
  server.on('error', () => undefined)
  return {
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
