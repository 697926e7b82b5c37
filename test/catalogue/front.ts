// What the catalogue's runner speaks to. It revokes by a body of its own, as no administration could know it; that one request
// is put into the administration's words here. Everything else is bytes, passed on as they are.
import { connect, createServer, type Socket } from 'node:net'

export const REVOKE_PATH = '/catalogue/revoke'

type Order = { readonly issuer: string; readonly user: string; readonly resource: string }

export type Front = { readonly close: () => Promise<void> }

/** `idps`: the names of the identity providers in the configuration, by issuer. */
export async function startFront(
  port: number,
  gateway: string,
  idps: Readonly<Record<string, string>>,
): Promise<Front> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (caller) => {
    sockets.add(caller)
    caller.on('error', () => undefined)
    caller.once('close', () => sockets.delete(caller))
    caller.once('data', (first) => {
      if (first.toString('latin1').startsWith(`POST ${REVOKE_PATH} `)) void revoke(caller, first, gateway, idps)
      else passOn(caller, first, Number(new URL(gateway).port))
    })
  })
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  return {
    close: () =>
      new Promise((done) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => done())
      }),
  }
}

function passOn(caller: Socket, first: Buffer, port: number): void {
  const gateway = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  gateway.on('error', () => caller.destroy())
  caller.once('close', () => gateway.destroy())
  gateway.once('close', () => caller.destroy())
  gateway.write(first)
  caller.pipe(gateway)
  gateway.pipe(caller)
}

async function revoke(
  caller: Socket,
  first: Buffer,
  gateway: string,
  idps: Readonly<Record<string, string>>,
): Promise<void> {
  let bytes = first
  const isWhole = (): boolean => {
    const text = bytes.toString('latin1')
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1])
    const end = text.indexOf('\r\n\r\n')
    return end >= 0 && bytes.length >= end + 4 + length
  }
  if (!isWhole()) {
    for await (const chunk of caller) {
      bytes = Buffer.concat([bytes, chunk])
      if (isWhole()) break
    }
  }
  const text = bytes.toString('utf8')
  const order: Order = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))
  const answer = await fetch(`${gateway}/admin/api/revocations`, {
    method: 'POST',
    headers: {
      authorization: /\r\nauthorization: *([^\r]*)/i.exec(text)?.[1] ?? '',
      'content-type': 'application/json',
    },
    body: JSON.stringify({ user: order.user, idp: idps[order.issuer], resource: order.resource }),
  })
  const body = Buffer.from(await answer.arrayBuffer())
  caller.end(
    `HTTP/1.1 ${answer.status} \r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body.toString('utf8')}`,
  )
}
