// `jagway unblock`: lifts a block. Without an id it says which there are.

import { defineCommand } from 'citty'
import * as v from 'valibot'
import { ADMIN_ARGS, openAdmin, toTable, toWords, understand } from './admin-client.ts'
import { EXIT, ExitError } from './exit.ts'
import { plain } from './id-token.ts'

const selectorSchema = v.object({
  user: v.optional(v.string()),
  idp: v.optional(v.string()),
  client: v.optional(v.string()),
  resource: v.optional(v.string()),
})
const answerSchema = v.object({
  blocks: v.array(v.object({ id: v.string(), selector: selectorSchema, until: v.optional(v.string()) })),
})

export default defineCommand({
  meta: { name: 'unblock', description: 'Lift a block, or list the blocks in force.' },
  args: {
    id: { type: 'positional', required: false, description: 'The id of the block; without one all are listed' },
    ...ADMIN_ARGS,
  },
  async run({ args }) {
    if (args._.length > 1) throw new ExitError(EXIT.usage, 'unblock takes one id')
    const admin = await openAdmin(args)
    if (args.id !== undefined) {
      await admin.send('DELETE', `blocks/${encodeURIComponent(args.id)}`)
      console.log(args.json === true ? JSON.stringify({ lifted: args.id }) : `lifted  ${plain(args.id)}`)
      return EXIT.ok
    }
    const answer = await admin.get('revocations', {})
    const { blocks } = understand(answerSchema, answer)
    if (args.json === true) console.log(JSON.stringify({ blocks }, undefined, 2))
    else if (blocks.length === 0) console.log('no blocks are in force')
    else
      console.log(toTable(blocks.map(({ id, selector, until }) => [plain(id), toWords(selector), plain(until ?? '')])))
    return EXIT.ok
  },
})
