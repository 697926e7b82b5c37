// Load over keep-alive connections, each with one request at a time. Sockets and a small reader instead of node:http: the
// client shares two cores with what it measures.

import { connect, type Socket } from 'node:net'

export type LoadOptions = {
  /** The connections are dealt out to these in turn. */
  readonly ports: readonly number[]
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

export async function load({ ports, connections, seconds, next }: LoadOptions): Promise<Load> {
  const lines = await openLines(Array.from({ length: connections }, (_, index) => ports[index % ports.length] ?? 0))
  const latencies: number[] = []
  const failures: string[] = []
  const start = performance.now()
  const end = start + seconds * 1000
  const talk = (line: Line, done: () => void): void => {
    const request = performance.now() < end ? next() : undefined
    if (request === undefined) {
      done()
      return
    }
    const sentAt = performance.now()
    line.ask(request, (answer) => {
      latencies.push(performance.now() - sentAt)
      if (!isOk(answer)) failures.push(answer.toString('latin1', 0, 400))
      talk(line, done)
    })
  }
  try {
    await Promise.all(lines.map((line) => Promise.race([line.broken, new Promise<void>((done) => talk(line, done))])))
    const elapsed = (performance.now() - start) / 1000
    latencies.sort((a, b) => a - b)
    const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0
    return { requests: latencies.length, seconds: elapsed, p50Ms: at(0.5), p99Ms: at(0.99), failures }
  } finally {
    for (const line of lines) line.close()
  }
}

export function openLines(ports: readonly number[]): Promise<Line[]> {
  return Promise.all(
    ports.map(
      (port) =>
        new Promise<Line>((done, fail) => {
          const socket = connect({ port, host: HOST, noDelay: true }, () => done(new Line(socket)))
          socket.once('error', fail)
        }),
    ),
  )
}

export function isOk(answer: Buffer): boolean {
  return answer.subarray(0, OK.length).equals(OK)
}

/** What follows the head. */
export function bodyOf(answer: Buffer): string {
  return answer.toString('utf8', answer.indexOf(HEAD_END) + HEAD_END.length)
}

/** One connection. */
export class Line {
  readonly #socket: Socket
  /** Never resolves; rejects when there is nothing more to be had from this connection. */
  readonly broken: Promise<never>
  #received: Buffer = Buffer.alloc(0)
  #answered: ((answer: Buffer) => void) | undefined

  constructor(socket: Socket) {
    const { promise, reject } = Promise.withResolvers<never>()
    this.#socket = socket
    this.broken = promise
    // Whether anybody waits for it is the caller's business.
    promise.catch(() => undefined)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      const length = answerLength(this.#received)
      if (Number.isNaN(length))
        reject(new Error(`an answer without Content-Length: ${this.#received.toString('latin1')}`))
      if (!(this.#received.length >= length)) return
      const answer = this.#received.subarray(0, length)
      this.#received = this.#received.subarray(length)
      const answered = this.#answered
      this.#answered = undefined
      answered?.(answer)
    })
  }

  get isBusy(): boolean {
    return this.#answered !== undefined
  }

  ask(request: Buffer, answered: (answer: Buffer) => void): void {
    this.#answered = answered
    this.#socket.write(request)
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Of the whole answer, head and body. Infinity: the head is not complete. NaN: the head does not say. */
function answerLength(bytes: Buffer): number {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd < 0) return Infinity
  const [, length] = LENGTH.exec(bytes.toString('latin1', 0, headEnd)) ?? []
  return headEnd + HEAD_END.length + Number(length)
}
