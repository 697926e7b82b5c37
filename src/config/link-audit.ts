// Where events go, linked.
import type { SecretName } from '../model.ts'
import { checkReach, type Linker } from './linker.ts'

export type AuditSinkConfig =
  { readonly kind: 'console' } | { readonly kind: 'http'; readonly url: string; readonly key: SecretName }

export function linkSinks(linker: Linker): readonly AuditSinkConfig[] {
  const { sinks, http, required } = linker.draft.settings.audit
  checkReach(linker, http?.url, ['audit', 'http', 'url'])
  const wanted = sinks.includes('http')
  if (wanted && http === undefined) {
    const message = 'the sink "http" has no address'
    const help = 'add "http": { "url": "https://...", "key": { "secret": "NAME" } }'
    linker.report({ code: 'CFG103', path: ['audit', 'sinks'], message, help, restsOn: [['audit', 'http']] })
  }
  if (!wanted && http !== undefined) {
    const message = 'an address for a sink that is not used'
    linker.report({
      code: 'CFG112',
      path: ['audit', 'http'],
      at: 'key',
      message,
      help: 'add "http" to "sinks"',
      restsOn: [['audit', 'sinks']],
    })
  }
  if (required && !wanted) {
    const message = 'no sink here can say that it has an event for good'
    const help = 'the console promises nothing; add the sink "http", or leave "required" out'
    linker.report({ code: 'CFG112', path: ['audit', 'required'], message, help, restsOn: [['audit', 'sinks']] })
  }
  return sinks.flatMap((kind): AuditSinkConfig[] => {
    if (kind === 'console') return [{ kind }]
    return http === undefined ? [] : [{ kind, ...http }]
  })
}
