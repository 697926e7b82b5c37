// `jagway revoke`: cuts connections off, and says what that did and by when it holds everywhere. Where it would hit more
// than one connection it first only shows them.

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
  type Selector,
} from './admin-client.ts'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { plain } from './id-token.ts'

const receiptSchema = v.object({
  id: v.optional(v.string()),
  dry_run: v.boolean(),
  before: v.string(),
  effective_by: v.string(),
  sign_ins_ended: v.boolean(),
  connections_known: v.boolean(),
  connections: v.array(
    v.object({
      ...connectionSchema.entries,
      token_expires_at: v.string(),
      earlier_tokens_expire_at: v.optional(v.string()),
      authorization_server: v.optional(v.string()),
    }),
  ),
  more: v.boolean(),
  counts: v.record(v.string(), v.number()),
})

type Receipt = v.InferOutput<typeof receiptSchema>

export default defineCommand({
  meta: { name: 'revoke', description: 'Cut off connections: their tokens are dead, everywhere, within a bound.' },
  args: {
    ...SELECTOR_ARGS,
    before: { type: 'string', valueHint: 'TIME', description: 'What was obtained up to then, RFC 3339 (default: now)' },
    yes: { type: 'boolean', description: 'Do it, however many connections it hits' },
    ...ADMIN_ARGS,
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `revoke takes no argument ${plain(args._.join(' '))}`)
    const selector = selectorOf(args)
    if (Object.keys(selector).length === 0) throw new ExitError(EXIT.usage, `name ${SELECTORS}`)
    const admin = await openAdmin(args)
    const order = { ...selector, ...(args.before === undefined ? {} : { before: args.before }) }
    const print = (answer: unknown, receipt: Receipt): ExitCode => {
      console.log(args.json === true ? JSON.stringify(answer, undefined, 2) : toText(receipt, selector))
      return receipt.dry_run || (receipt.counts['failed'] ?? 0) > 0 || !receipt.connections_known
        ? EXIT.problems
        : EXIT.ok
    }
    if (args.yes !== true) {
      const answer = await admin.send('POST', 'revocations', { ...order, dry_run: true })
      const receipt = understand(receiptSchema, answer)
      if (!isClear(receipt, selector)) {
        const exitCode = print(answer, receipt)
        console.error('nothing has been done: give --yes to do it')
        return exitCode
      }
    }
    const answer = await admin.send('POST', 'revocations', order)
    return print(answer, understand(receiptSchema, answer))
  },
})

export const SELECTORS = 'at least one of --user, --idp, --client and --resource'

/** One connection is what was meant; none, of one user, ends that user's sign-ins at most. */
function isClear({ counts, more, connections_known: known }: Receipt, { user }: Selector): boolean {
  const live = counts['connections']
  return known && !more && (live === 1 || (live === 0 && user !== undefined))
}

const OUTCOMES: Readonly<Record<string, string>> = {
  revoked: 'token revoked at its authorization server',
  failed: 'its authorization server could not be told; run this again to try once more',
  not_offered: 'its authorization server revokes no tokens',
  not_held: 'no token is held here any more',
}

function toText(receipt: Receipt, selector: Selector): string {
  const { dry_run: dry, connections, counts } = receipt
  const live = counts['connections'] ?? connections.length
  return [
    `${dry ? 'would revoke' : 'revoked'}  ${toWords(selector)}${receipt.id === undefined ? '' : `  (${plain(receipt.id)})`}`,
    `  tokens obtained up to ${plain(receipt.before)} are dead`,
    `  from ${plain(receipt.effective_by)} on no gateway uses them`,
    receipt.sign_ins_ended
      ? '  sign-ins from before are over as well: whoever is meant has to sign in again'
      : '  sign-ins go on: a new token may be obtained at once (block to prevent that)',
    receipt.connections_known
      ? `  ${live} ${live === 1 ? 'connection was' : 'connections were'} alive`
      : '  which connections that hits could not be told; it holds all the same',
    ...(connections.length === 0 ? [] : [toTable(connections.map(toRow))]),
    ...(receipt.more
      ? ['  there are more; they are cut off, but their tokens were not revoked where they were issued']
      : []),
  ].join('\n')
}

function toRow(each: Receipt['connections'][number]): readonly string[] {
  const outcome = each.authorization_server
  const said = outcome === undefined ? '' : (OUTCOMES[outcome] ?? plain(outcome))
  // A token that was sent on before can still be in somebody's hands.
  const until = outcome === 'revoked' ? '' : `whoever has the token may use it until ${plain(each.token_expires_at)}`
  const earlier = each.earlier_tokens_expire_at
  // What was replaced before it ended is held by nobody who could revoke it.
  const others = earlier === undefined ? '' : `tokens it had before may live until ${plain(earlier)}`
  return [
    '   ',
    nameOf(each),
    plain(each.client),
    plain(each.resource),
    [said, until, others].filter(Boolean).join('; '),
  ]
}
