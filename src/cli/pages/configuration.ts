// The manual of the configuration file, CFG: a page for each code, with what is mostly behind it. The finding itself names the
// place and what to write there instead.

import { CONFIG_CODES, type ConfigCode } from '../../config/config.ts'

/** What to do. A code without it does not compile. */
const FIXES: Readonly<Record<ConfigCode, string>> = {
  CFG100: 'Look just before the place: a comma, a quote or a bracket is missing or too many.',
  CFG101: 'Keep one of the two; JSON readers disagree about which of them counts.',
  CFG102:
    'Take the key out, or spell it as docs/configuration.md does; with `$schema` in the file an editor says so at once.',
  CFG103: 'Add what the finding names.',
  CFG104: 'Write one of the values that the finding names.',
  CFG105:
    'Give it another name. Secrets and bindings are written in A-Z, 0-9 and _, and none has the name of another binding of the Worker; the finding says what else is expected.',
  CFG106:
    'Put the value into a secret of the Worker (`wrangler secret put NAME`) and write `{ "secret": "NAME" }`. What has stood in a file counts as known: replace it.',
  CFG107:
    'Write an https address as the finding wants it. Plain http is for addresses of this machine, in a local run.',
  CFG108: 'Define what is named, or name what is defined; the finding guesses which is meant.',
  CFG109: 'Give one of the two another value.',
  CFG110: 'Give the resource another path or host; some paths are ours, such as /token and /admin.',
  CFG111:
    'Copy the public keys from the jwks_uri of their owner, or name that under jwks_uri. Private parts have no place in the file.',
  CFG112: 'Keep one of the two, or change the one that the finding names.',
  CFG113:
    'Deployed: `wrangler secret put NAME`, with the name that the finding has. Local: a line `NAME=value` in the file that `--secrets` names.',
  CFG114:
    'Make the sealing key of 32 random bytes (`openssl rand -base64 32`) and store it with `wrangler secret put NAME`.',
  CFG115:
    'Add the binding to wrangler.toml under the name that the finding has: `[[mtls_certificates]]`, `[[ratelimits]]`, `[[queues.producers]]` or `[[r2_buckets]]`; the finding says which. Local: certificates come from the file that `--certificates` names.',
  CFG201:
    'Give the client a rule that allows it something, or a way to come in: `auth`, or `edge_client` of a client of an identity provider.',
  CFG202: 'What no rule allows is denied: name the resource in a rule that allows, or take it out.',
  CFG203:
    'Give the clients that can use the token endpoint a rule with narrower scopes: nothing else limits a token that they hold.',
  CFG204: 'Compare the conditions of the rule with what they name: nobody can meet them all.',
  CFG205: 'Give proxied requests an edge client of their own, without `auth`; rules can tell the two apart then.',
  CFG206:
    'Documents of ours stand at `public_url`/clients/NAME.json, where NAME is letters, digits and . _ -; use such an address.',
  CFG207: 'Name the scope, or the type, in a rule that allows, or take it from the resource.',
  CFG208: 'Take the rule out, or give it another `until`.',
  CFG209: 'Give the rule another `until`, if it is meant to go on.',
  CFG210: 'List under `admin.id_token.clients` the clients through which administrators come.',
  CFG211: 'Take the rule out, or change it: whatever it says is said by others already.',
  CFG212:
    'List one client of an identity provider that takes the kind under `subject_tokens`, or take the kind from the others.',
  CFG301: 'Change the rules or the test under `policy.tests`; the finding says what is decided and what was expected.',
}

/** About what surrounds the file, which `jagway check` does not see. */
const AT_START: readonly ConfigCode[] = ['CFG113', 'CFG114', 'CFG115']

function tellerOf(code: ConfigCode): string {
  if (AT_START.includes(code))
    return 'the Worker and `jagway serve`, at the start: until it is mended the gateway does not run'
  if (code.startsWith('CFG1')) return '`jagway check` and every start: the file is not used until it is mended'
  return code.startsWith('CFG2')
    ? '`jagway check`, as a warning: the file is used as it is'
    : '`jagway check`, as an error: the file would be used, but does not do what it promises'
}

export function isConfigCode(word: string): word is ConfigCode {
  return Object.hasOwn(CONFIG_CODES, word)
}

export function pageOfConfig(code: ConfigCode): { readonly says: string; readonly fix: string } {
  return { says: CONFIG_CODES[code], fix: FIXES[code] }
}

/** The page of a code, in Markdown. */
export function renderConfigPage(code: ConfigCode): string {
  const { says, fix } = pageOfConfig(code)
  const where = 'line and column of jagway.jsonc; [configuration.md](../configuration.md) says what may stand there'
  return `${[
    `# ${code}`,
    `${says.charAt(0).toUpperCase()}${says.slice(1)}.`,
    `**What to do.** ${fix}`,
    `**Who says so:** ${tellerOf(code)}.`,
    `**Where:** ${where}.`,
  ].join('\n\n')}\n`
}
