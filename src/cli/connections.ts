// `jagway connections`: who is connected to what through a gateway.

import process from 'node:process'
import { styleText } from 'node:util'
import { defineCommand } from 'citty'
import * as v from 'valibot'
import {
  ADMIN_ARGS,
  connectionSchema,
  nameOf,
  openAdmin,
  SELECTOR_ARGS,
  selectorOf,
  toTable,
  toWords,
  understand,
} from './admin-client.ts'
import { EXIT, ExitError } from './exit.ts'
import { plain } from './id-token.ts'

const answerSchema = v.object({
  connections: v.array(v.object({ ...connectionSchema.entries, status: v.string() })),
  more: v.boolean(),
})

export default defineCommand({
  meta: { name: 'connections', description: 'List who is connected to what through a gateway.' },
  args: {
    ...SELECTOR_ARGS,
    limit: { type: 'string', valueHint: 'N', description: 'At most so many, the newest first (default: 100)' },
    ...ADMIN_ARGS,
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `connections takes no argument ${plain(args._.join(' '))}`)
    const selector = selectorOf(args)
    const admin = await openAdmin(args)
    const answer = await admin.get('connections', { ...selector, limit: args.limit })
    if (args.json === true) console.log(JSON.stringify(answer, undefined, 2))
    else console.log(toText(understand(answerSchema, answer), toWords(selector)))
    return EXIT.ok
  },
})

const HEAD = ['USER', 'CLIENT', 'RESOURCE', 'SCOPES', 'LAST ISSUED', 'EXPIRES', 'TOKENS', 'STATUS']
const COLOURS = { active: 'green', revoked: 'yellow', blocked: 'red', expired: 'dim' } as const

function toText({ connections, more }: v.InferOutput<typeof answerSchema>, whose: string): string {
  if (connections.length === 0) return `no connections of ${whose}`
  const rows = connections.map((each) => [
    nameOf(each),
    plain(each.client),
    plain(each.resource),
    plain(each.scopes.join(' ')),
    plain(each.last_issued_at),
    plain(each.expires_at),
    String(each.count),
    coloured(each.status),
  ])
  return [toTable([HEAD, ...rows]), ...(more ? ['there are more: narrow it down, or give --limit'] : [])].join('\n')
}

/** styleText leaves the colour out by itself where there is no terminal, or where NO_COLOR is set. */
function coloured(status: string): string {
  for (const [known, colour] of Object.entries(COLOURS)) {
    if (known === status) return styleText(colour, status, { stream: process.stdout })
  }
  return plain(status)
}
