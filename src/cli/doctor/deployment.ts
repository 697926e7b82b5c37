// How the Worker would be deployed: what it needs of wrangler's file, by the bindings it was tested with.

import type { AuditQueue, ConfigPath } from '../../config/config.ts'
import { isObject, type JsonObject } from '../../lib/strict-json.ts'
import type { RateLimit } from '../../parties.ts'
import { COMPATIBILITY_DATE, OBJECTS } from '../launch.ts'
import { inWrangler, type Check, type DoctorCode, type Finding } from './finding.ts'
import type { Tools } from './tools.ts'
import { some, textsOf } from './words.ts'
import type { WranglerFile } from './wrangler.ts'

const NAMESPACE = 'TOKENS'
const PUBLIC_ONLY = 'global_fetch_strictly_public'

/** Settings that an environment takes over from the top of the file; bindings are not among them. */
const INHERITED = [
  'main',
  'compatibility_date',
  'compatibility_flags',
  'rules',
  'minify',
  'workers_dev',
  'preview_urls',
  'migrations',
  'exports',
]

/** The file as a whole, and each of its environments as wrangler would deploy it. */
export function examineDeployment({ fileName, settings }: WranglerFile, tools: Pick<Tools, 'config'>): Check[] {
  const environments = isObject(settings['env']) ? Object.entries(settings['env']) : []
  return [
    ...examineEnvironment(fileName, settings, [], tools),
    ...environments.flatMap(([name, own]) => {
      if (!isObject(own)) return []
      const inherited: JsonObject = Object.fromEntries(
        INHERITED.filter((key) => settings[key] !== undefined).map((key) => [key, settings[key]]),
      )
      return examineEnvironment(`${fileName} env.${name}`, { ...inherited, ...own }, ['env', name], tools)
    }),
  ]
}

function examineEnvironment(
  about: string,
  settings: JsonObject,
  root: ConfigPath,
  { config }: Pick<Tools, 'config'>,
): Check[] {
  const say = (code: DoctorCode, path: ConfigPath, message: string, help?: string): Finding => ({
    code,
    message,
    help,
    places: [inWrangler([...root, ...path])],
  })
  const check = (name: string, says: string, findings: readonly Finding[]): Check => ({ about, name, says, findings })
  const limits = [...config.rateLimits.values()]
  const { queue } = config.audit
  const bindings = [
    ...judgeNamespace(settings, say),
    ...judgeObjects(settings, say),
    ...limits.flatMap((limit) => judgeLimit(settings, limit, say)),
    ...config.certificateNames.flatMap((name) => judgeCertificate(settings, name, say)),
    ...(queue === undefined ? [] : judgeTrail(settings, queue, say)),
  ]
  const secrets = judgeSecrets(settings, config.secretNames, say)
  const rest = judgeSettings(settings, say)
  const all = [
    NAMESPACE,
    ...Object.keys(OBJECTS),
    ...limits.map(({ binding }) => binding),
    ...config.certificateNames,
    ...(queue === undefined ? [] : [queue.binding, ...(queue.bucket === undefined ? [] : [queue.bucket])]),
  ]
  return [
    check('bindings', bindings.length === 0 ? all.join(', ') : 'not complete', bindings),
    check(
      'secrets',
      secrets.length === 0 ? `${config.secretNames.length} required, as the configuration names them` : 'not the same',
      secrets,
    ),
    check('settings', rest.length === 0 ? 'as they were tested' : 'not as they were tested', rest),
  ]
}

type Say = (code: DoctorCode, path: ConfigPath, message: string, help?: string) => Finding

function judgeNamespace(settings: JsonObject, say: Say): Finding[] {
  const bound = objectsOf(settings['kv_namespaces']).some(({ binding }) => binding === NAMESPACE)
  if (bound) return []
  const message = `no KV namespace is bound as ${NAMESPACE}: the gateway would obtain every token anew`
  return [
    say(
      'DOC116',
      ['kv_namespaces'],
      message,
      'add [[kv_namespaces]] with binding = "TOKENS"; wrangler makes the namespace',
    ),
  ]
}

function judgeObjects(settings: JsonObject, say: Say): Finding[] {
  const path = ['durable_objects', 'bindings']
  const section = settings['durable_objects']
  const bound = objectsOf(isObject(section) ? section['bindings'] : undefined)
  const made = classesOf(settings)
  return Object.entries(OBJECTS).flatMap(([binding, className]) => {
    const index = bound.findIndex(({ name }) => name === binding)
    const entry = bound[index]
    if (entry === undefined) {
      const help = `add [[durable_objects.bindings]] with name = "${binding}" and class_name = "${className}"`
      return [say('DOC116', path, `no Durable Object is bound as ${binding}`, help)]
    }
    if (entry['class_name'] !== className)
      return [
        say(
          'DOC116',
          [...path, index, 'class_name'],
          `${binding} is bound to another class`,
          `write class_name = "${className}"`,
        ),
      ]
    if (made.has(className)) return []
    const help = `add [exports.${className}] with type = "durable-object" and storage = "sqlite"`
    return [say('DOC116', [...path, index], `the class ${className} is bound, but nothing makes it`, help)]
  })
}

function judgeLimit(settings: JsonObject, { binding, limit, periodSeconds }: RateLimit, say: Say): Finding[] {
  const bound = objectsOf(settings['ratelimits'])
  const index = bound.findIndex(({ name }) => name === binding)
  const simple = bound[index]?.['simple']
  const written = `simple = { limit = ${limit}, period = ${periodSeconds} }`
  if (index === -1) {
    const message = `no rate limit is bound as ${binding}, which the configuration counts with`
    return [
      say(
        'DOC116',
        ['ratelimits'],
        message,
        `add [[ratelimits]] with name = "${binding}", a namespace_id of its own and ${written}`,
      ),
    ]
  }
  if (isObject(simple) && simple['limit'] === limit && simple['period'] === periodSeconds) return []
  const message = `the rate limit ${binding} counts by other numbers here than in the configuration, and these are the ones that hold`
  return [say('DOC209', ['ratelimits', index, 'simple'], message, `write ${written}`)]
}

function judgeCertificate(settings: JsonObject, name: string, say: Say): Finding[] {
  if (objectsOf(settings['mtls_certificates']).some(({ binding }) => binding === name)) return []
  const help = `add [[mtls_certificates]] with binding = "${name}" and the certificate_id that wrangler mtls-certificate upload tells`
  return [
    say('DOC116', ['mtls_certificates'], `no client certificate is bound as ${name}: the Worker does not start`, help),
  ]
}

/** The queue of audit events; and where this Worker is to store them, its bucket, and that it is the queue's consumer. */
function judgeTrail(settings: JsonObject, { binding, bucket }: AuditQueue, say: Say): Finding[] {
  const section = settings['queues']
  const queues = isObject(section) ? section : {}
  const producer = objectsOf(queues['producers']).find((each) => each['binding'] === binding)
  const findings: Finding[] = []
  if (producer === undefined) {
    const message = `no queue is bound as ${binding}: the Worker does not start`
    const help = `add [[queues.producers]] with binding = "${binding}" and the name of the queue`
    findings.push(say('DOC116', ['queues', 'producers'], message, help))
  }
  if (bucket === undefined) return findings
  if (!objectsOf(settings['r2_buckets']).some((each) => each['binding'] === bucket)) {
    const message = `no R2 bucket is bound as ${bucket}: the Worker does not start`
    findings.push(say('DOC116', ['r2_buckets'], message, `add [[r2_buckets]] with binding = "${bucket}"`))
  }
  const name = producer?.['queue']
  const consumers = objectsOf(queues['consumers'])
  const index = consumers.findIndex((each) => each['queue'] === name)
  const consumer = consumers[index]
  if (producer !== undefined && consumer === undefined) {
    const message = `nobody takes the events off the queue that is bound as ${binding}: they are deleted after some days`
    const help = 'add [[queues.consumers]] with the name of the same queue, max_retries = 100 and a dead_letter_queue'
    findings.push(say('DOC116', ['queues', 'consumers'], message, help))
  }
  if (consumer !== undefined && consumer['dead_letter_queue'] === undefined) {
    const message = 'events that could not be stored in so many tries are deleted'
    const help = 'name a dead_letter_queue, and write max_retries = 100'
    findings.push(say('DOC209', ['queues', 'consumers', index], message, help))
  }
  return findings
}

/** Classes that are declared, or that some migration has made. */
function classesOf(settings: JsonObject): ReadonlySet<string> {
  const declared = isObject(settings['exports']) ? Object.keys(settings['exports']) : []
  const migrated = objectsOf(settings['migrations']).flatMap(
    (migration) => textsOf(migration['new_sqlite_classes']) ?? [],
  )
  return new Set([...declared, ...migrated])
}

function judgeSecrets(settings: JsonObject, named: readonly string[], say: Say): Finding[] {
  const section = settings['secrets']
  const required = textsOf(isObject(section) ? section['required'] : undefined) ?? []
  const path = ['secrets', 'required']
  const unlisted = named.filter((name) => !required.includes(name))
  const unnamed = required.filter((name) => !named.includes(name))
  const findings: Finding[] = []
  if (unlisted.length > 0) {
    const message = `the configuration names secrets that are not required here: ${some(unlisted)}`
    const help = 'list them: then wrangler does not deploy without them, where the Worker would not start'
    findings.push(say('DOC212', path, message, help))
  }
  if (unnamed.length > 0) {
    const message = `secrets are required that the configuration does not name: ${some(unnamed)}`
    findings.push(say('DOC212', path, message, 'take them out, or is a name misspelt?'))
  }
  return findings
}

function judgeSettings(settings: JsonObject, say: Say): Finding[] {
  const findings: Finding[] = []
  const { define, rules, minify, compatibility_date: date, compatibility_flags: flags } = settings
  if (isObject(define) && define['JAGWAY_LOCAL'] !== undefined && define['JAGWAY_LOCAL'] !== 'false') {
    const message = 'JAGWAY_LOCAL is not false: the deployed Worker would take http, and addresses of its own machine'
    findings.push(say('DOC117', ['define', 'JAGWAY_LOCAL'], message, 'write JAGWAY_LOCAL = "false"'))
  }
  if (typeof settings['main'] !== 'string')
    findings.push(say('DOC117', ['main'], 'nothing says which file is the Worker', 'write main = "src/worker.ts"'))
  const asText = objectsOf(rules).some(
    (rule) => rule['type'] === 'Text' && (textsOf(rule['globs']) ?? []).some((glob) => glob.endsWith('.jsonc')),
  )
  if (!asText) {
    const help = 'add [[rules]] with type = "Text" and globs = ["**/*.jsonc"]'
    findings.push(say('DOC117', ['rules'], 'jagway.jsonc does not come into the bundle as text', help))
  }
  if (!(textsOf(flags) ?? []).includes(PUBLIC_ONLY)) {
    const message =
      'without global_fetch_strictly_public an address in the configuration can reach past the front door of a zone'
    findings.push(say('DOC117', ['compatibility_flags'], message, `add "${PUBLIC_ONLY}" to compatibility_flags`))
  }
  if (date !== COMPATIBILITY_DATE) {
    const shown = typeof date === 'string' ? date : date instanceof Date ? date.toISOString().slice(0, 10) : 'missing'
    findings.push(
      say(
        'DOC209',
        ['compatibility_date'],
        `the compatibility date is ${shown}; this version is tested with ${COMPATIBILITY_DATE}`,
      ),
    )
  }
  if (minify !== true) findings.push(say('DOC209', ['minify'], 'the bundle is not minified', 'write minify = true'))
  for (const key of ['workers_dev', 'preview_urls']) {
    if (settings[key] === false) continue
    const message = `${key} is not false: an address beside your own would lead past your access rules`
    findings.push(say('DOC209', [key], message, `write ${key} = false`))
  }
  return findings
}

function objectsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter((item) => isObject(item)) : []
}
