// The secrets that the configuration names: whether they are known here, and whether they look like what they have to be.
// Nothing of a value is ever repeated.

import { pathsOfName, type Config, type ConfigPath } from '../../config/config.ts'
import type { SecretName } from '../../parties.ts'
import { inConfig, type Check, type Finding, type Place } from './finding.ts'
import type { Tools } from './tools.ts'

const MIN_SEALING_KEY_CHARS = 32
const MADE_LOCALLY = 'JAGWAY_SEALING_KEY'

/** `source`: where values were looked for; undefined: nowhere, because nobody said where they are. */
export function examineSecrets(
  { config, local, secret, written }: Pick<Tools, 'config' | 'local' | 'secret' | 'written'>,
  source: string | undefined,
): Check {
  const check = (says: string, findings: readonly Finding[]): Check => ({
    about: 'secrets',
    name: 'values',
    says,
    findings,
  })
  // A local run makes itself a sealing key where it is given none.
  const names = config.secretNames.filter((name) => !(local && name === MADE_LOCALLY))
  const known = names.filter((name) => secret(name) !== undefined)
  if (known.length === 0 && source === undefined) {
    const says = `${names.length} named, none known here: give --secrets FILE, or set them in the environment`
    return { ...check(says, []), skipped: true }
  }
  const where = source ?? 'the environment'
  const findings = names.flatMap((name) => {
    const places = placesOf(written, name)
    const value = secret(name)?.reveal()
    if (value === undefined || value === '') {
      const message = `the secret ${name} ${value === '' ? 'is empty' : 'has no value'} in ${where}`
      const help = `the Worker does not start without it: wrangler secret put ${name}`
      return [{ code: 'DOC114', message, help, places } satisfies Finding]
    }
    return [...judgeShape(name, value, places), ...judgeSealing(config, name, value, places)]
  })
  return check(`${known.length} of ${names.length} known`, findings)
}

function judgeShape(name: SecretName, value: string, places: Finding['places']): Finding[] {
  const odd =
    value !== value.trim()
      ? 'begins or ends with white space, a line break perhaps'
      : /^(["']).*\1$/s.test(value)
        ? 'stands in quotes'
        : /^(?:change-?me|todo|xxx+|secret|password|\.\.\.|<.*>|\$\{.*\})$/i.test(value)
          ? 'is a placeholder'
          : undefined
  if (odd === undefined) return []
  const help = 'what is stored is sent as it is: put the value alone (printf %s VALUE | wrangler secret put NAME)'
  return [{ code: 'DOC208', message: `the value of ${name} ${odd}`, help, places }]
}

function judgeSealing({ cache }: Config, name: SecretName, value: string, places: Finding['places']): Finding[] {
  if (!cache.sealingKeys.includes(name)) return []
  const help = 'make it of 32 random bytes: openssl rand -base64 32'
  if (value.length < MIN_SEALING_KEY_CHARS) {
    const message = `the sealing key ${name} is too short: the Worker does not start with less than ${MIN_SEALING_KEY_CHARS} characters`
    return [{ code: 'DOC115', message, help, places }]
  }
  // 32 random bytes in hexadecimal have 12 to 16 different characters.
  if (new Set(value).size < 10)
    return [{ code: 'DOC208', message: `the sealing key ${name} does not look random`, help, places }]
  return []
}

/** Everywhere in the file where a secret is named. */
function placesOf(written: unknown, name: string): Finding['places'] {
  const [first, ...more] = pathsOfName(written, 'secret', name).map(toPlace)
  // The sealing key need not be written down.
  return [first ?? inConfig(['cache', 'sealing_keys']), ...more]
}

/** The key that says what the secret is for; in a list there is none. */
function toPlace(path: ConfigPath): Place {
  return typeof path.at(-1) === 'string' ? inConfig(path, 'key') : inConfig(path)
}
