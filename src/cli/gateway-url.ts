// Which gateway a command talks to.

import { EXIT, ExitError } from './exit.ts'
import { fromEnvironment, plain } from './id-token.ts'

const DEFAULT_URL = 'http://127.0.0.1:8787'

export const URL_ARG = {
  type: 'string',
  valueHint: 'URL',
  description: `The gateway (default: JAGWAY_URL, or ${DEFAULT_URL})`,
} as const

export function gatewayUrl(given: string | undefined): URL {
  const text = given ?? fromEnvironment('JAGWAY_URL') ?? DEFAULT_URL
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ExitError(EXIT.usage, `--url wants the address of a gateway, not ${plain(text)}`)
  }
  if (url.protocol === 'http:' && !isLoopback(url)) {
    throw new ExitError(EXIT.usage, 'a token is sent over http to this machine only: write https')
  }
  return url
}

export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}
