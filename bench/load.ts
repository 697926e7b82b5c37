// Load over keep-alive connections, each with one request at a time. Sockets and a small reader instead of node:http: the
// client shares two cores with what it measures.

import { connect, type Socket } from 'node:net'

export type LoadOptions = {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** The bytes of the next request; undefined ends the round. */
  readonly next: () => Buffer | undefined
}

export type Load = {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** How each answer that was not a 200 began. */
  readonly failures: readonly string[]
}

const HOST = '127.0.0.1'
const HEAD_END = Buffer.from('\r\n\r\n')
const OK = Buffer.from('HTTP/1.1 200 ')
const LENGTH = /\r\ncontent-length: *(\d+)/i

export async function load({ port, connections, seconds, next }: LoadOptions): Promise<Load> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const latencies: number[] = []
  const failures: string[] = []
  const start = performance.now()
  const end = start + seconds * 1000
  try {
    await Promise.all(
      sockets.map((socket) => talk(socket, () => (performance.now() < end ? next() : undefined), latencies, failures)),
    )
    const elapsed = (performance.now() - start) / 1000
    latencies.sort((a, b) => a - b)
    const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0
    return { requests: latencies.length, seconds: elapsed, p50Ms: at(0.5), p99Ms: at(0.99), failures }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host: HOST, noDelay: true }, () => done(socket))
    socket.once('error', fail)
  })
}

function talk(socket: Socket, next: () => Buffer | undefined, latencies: number[], failures: string[]): Promise<void> {
  return new Promise((done, fail) => {
    let sentAt = 0
    let received: Buffer = Buffer.alloc(0)
    const send = (): void => {
      const request = next()
      if (request === undefined) {
        done()
        return
      }
      sentAt = performance.now()
      socket.write(request)
    }
    socket.on('data', (chunk) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      const length = answerLength(received)
      if (Number.isNaN(length)) fail(new Error(`an answer without Content-Length: ${received.toString('latin1')}`))
      if (!(received.length >= length)) return
      latencies.push(performance.now() - sentAt)
      if (!received.subarray(0, OK.length).equals(OK)) failures.push(received.toString('latin1', 0, 400))
      received = received.subarray(length)
      send()
    })
    socket.once('error', fail)
    socket.once('close', () => fail(new Error('the connection was closed')))
    send()
  })
}

/** Of the whole answer, head and body. Infinity: the head is not complete. NaN: the head does not say. */
function answerLength(bytes: Buffer): number {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd < 0) return Infinity
  const [, length] = LENGTH.exec(bytes.toString('latin1', 0, headEnd)) ?? []
  return headEnd + HEAD_END.length + Number(length)
}
