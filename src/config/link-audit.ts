// Where events go, linked.
import type { SecretName } from '../parties.ts'
import { checkReach, type Linker } from './linker.ts'
import { quote } from './problem.ts'

export type AuditSinkConfig =
  | { readonly kind: 'console' | 'trace' }
  | { readonly kind: 'http'; readonly url: string; readonly key: SecretName }
  | ({ readonly kind: 'queue' } & AuditQueue)

/** By the names of their bindings. */
export interface AuditQueue {
  readonly binding: string
  /** Where this Worker writes what it takes off the queue; undefined: somebody else takes it. */
  readonly bucket: string | undefined
}

/** What each sink with settings of its own needs, in words. */
const NEEDS = {
  http: ['address', 'add "http": { "url": "https://...", "key": { "secret": "NAME" } }'],
  queue: ['queue', 'add "queue": { "binding": "AUDIT_QUEUE" }'],
} as const

/** `taken`: what other bindings of the Worker are called. */
export function linkSinks(linker: Linker, taken: readonly string[]): readonly AuditSinkConfig[] {
  const { sinks, http, queue, required } = linker.draft.settings.audit
  checkReach(linker, http?.url, ['audit', 'http', 'url'])
  checkNeed(linker, 'http')
  checkNeed(linker, 'queue')
  const names = [
    ['binding', queue?.binding],
    ['bucket', queue?.bucket],
  ] as const
  for (const [key, name] of names) {
    const isTaken = name !== undefined && (taken.includes(name) || (key === 'bucket' && name === queue?.binding))
    if (!isTaken) continue
    const message = `${quote(name)} is the name of another binding in this file`
    const help = 'a binding of the Worker is one or the other'
    linker.report({ code: 'CFG112', path: ['audit', 'queue', key], message, help })
  }
  if (required && !sinks.includes('http') && !sinks.includes('queue')) {
    const message = 'no sink here can say that it has an event for good'
    const help = 'console and trace promise nothing; add the sink "http" or "queue", or leave "required" out'
    linker.report({ code: 'CFG112', path: ['audit', 'required'], message, help, restsOn: [['audit', 'sinks']] })
  }
  return sinks.flatMap((kind): AuditSinkConfig[] => {
    switch (kind) {
      case 'console':
      case 'trace':
        return [{ kind }]
      case 'http':
        return http === undefined ? [] : [{ kind, ...http }]
      case 'queue':
        return queue === undefined ? [] : [{ kind, binding: queue.binding, bucket: queue.bucket }]
    }
  })
}

/** A sink without its settings, or settings without their sink. */
function checkNeed({ draft, report }: Linker, kind: keyof typeof NEEDS): void {
  const { sinks, [kind]: settings } = draft.settings.audit
  const isWanted = sinks.includes(kind)
  const [what, help] = NEEDS[kind]
  if (isWanted && settings === undefined) {
    const message = `the sink "${kind}" has no ${what}`
    report({ code: 'CFG103', path: ['audit', 'sinks'], message, help, restsOn: [['audit', kind]] })
  }
  if (!isWanted && settings !== undefined) {
    const message = `the ${what} of a sink that is not used`
    const path = ['audit', kind]
    report({
      code: 'CFG112',
      path,
      at: 'key',
      message,
      help: `add "${kind}" to "sinks"`,
      restsOn: [['audit', 'sinks']],
    })
  }
}
