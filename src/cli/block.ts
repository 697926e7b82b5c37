// `jagway block`: nobody who fits passes any more, whatever they hold, until it is lifted or its time is over.

import { defineCommand } from 'citty'
import * as v from 'valibot'
import { ADMIN_ARGS, openAdmin, SELECTOR_ARGS, selectorOf, toWords, understand } from './admin-client.ts'
import { EXIT, ExitError } from './exit.ts'
import { plain } from './id-token.ts'
import { SELECTORS } from './revoke.ts'

const answerSchema = v.object({ id: v.string(), until: v.optional(v.string()), effective_by: v.string() })

export default defineCommand({
  meta: { name: 'block', description: 'Let nobody through who fits, until the block is lifted.' },
  args: {
    ...SELECTOR_ARGS,
    until: {
      type: 'string',
      valueHint: 'TIME',
      description: 'When it ends by itself, RFC 3339 (default: when lifted)',
    },
    yes: { type: 'boolean', description: 'Do it, though no user is named' },
    ...ADMIN_ARGS,
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `block takes no argument ${plain(args._.join(' '))}`)
    const selector = selectorOf(args)
    if (Object.keys(selector).length === 0) throw new ExitError(EXIT.usage, `name ${SELECTORS}`)
    if (selector.user === undefined && args.yes !== true) {
      throw new ExitError(EXIT.usage, `this blocks everybody of ${toWords(selector)}: give --yes to do it`)
    }
    const admin = await openAdmin(args)
    const order = { ...selector, ...(args.until === undefined ? {} : { until: args.until }) }
    const answer = await admin.send('POST', 'blocks', order)
    if (args.json === true) {
      console.log(JSON.stringify(answer, undefined, 2))
      return EXIT.ok
    }
    const { id, until, effective_by: by } = understand(answerSchema, answer)
    console.log(`blocked  ${toWords(selector)}${until === undefined ? '' : `, until ${plain(until)}`}`)
    console.log(`  in force everywhere from ${plain(by)} on; to lift it: jagway unblock ${plain(id)}`)
    return EXIT.ok
  },
})
