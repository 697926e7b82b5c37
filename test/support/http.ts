// An HTTP client that sends what it is told and shows what came: no decoding, no redirects, no headers of its own.
import { request as startRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'

export type Call = {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  /** A function writes the body itself, as slowly as it likes. */
  readonly body?: string | Uint8Array | ((write: (chunk: Uint8Array) => Promise<void>) => Promise<void>)
  readonly signal?: AbortSignal
}

export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Name, value, name, value, … */
  readonly rawHeaders: readonly string[]
  readonly bytes: Buffer
  readonly text: string
}

export async function call(url: string, options: Call = {}): Promise<Reply> {
  const response = await open(url, options)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(Buffer.from(chunk))
  const bytes = Buffer.concat(chunks)
  return {
    status: response.statusCode ?? 0,
    headers: joined(response),
    rawHeaders: response.rawHeaders,
    bytes,
    text: bytes.toString('utf8'),
  }
}

/** The answer as soon as its head is there. */
export function open(url: string, { method = 'GET', headers = {}, body, signal }: Call): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const sent = startRequest(url, { method, headers, agent: false, ...(signal === undefined ? {} : { signal }) })
  sent.on('response', resolve)
  sent.on('error', reject)
  if (typeof body === 'function') {
    const write = (chunk: Uint8Array) =>
      new Promise<void>((done) => {
        if (sent.write(chunk)) done()
        else sent.once('drain', done)
      })
    body(write).then(
      () => sent.end(),
      (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))),
    )
  } else sent.end(body)
  return promise
}

export function joined(message: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(message.headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]),
  )
}

/** Waits until something that happens behind an answer has happened. */
export async function eventually(condition: () => boolean | Promise<boolean>, deadlineMs = 5_000): Promise<void> {
  const start = Date.now()
  while (!(await condition())) {
    if (Date.now() - start > deadlineMs) throw new Error('it did not happen in time')
    await new Promise((done) => setTimeout(done, 5))
  }
}
