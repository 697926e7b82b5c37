// The manual of refusals: one page per code, from the catalogue of the Worker and what is said here beyond it. Everything that
// shows a page shows this one: docs/errors, and `jagway explain CODE`.

import { toProblem } from '../../oauth/answers.ts'
import { kindOf, pageOf, toResourceVoice, toTokenVoice, type Refusal, type RefusalCode } from '../../refusal.ts'
import { AT_OUR_DOOR } from './at-our-door.ts'
import { BEHIND_US } from './behind-us.ts'
import { OURS } from './ours.ts'
import type { Page, Party } from './page.ts'

/** A code without a page does not compile. */
const PAGES: Readonly<Record<RefusalCode, Page>> = { ...AT_OUR_DOOR, ...BEHIND_US, ...OURS }

const PARTIES: Readonly<Record<Party, string>> = {
  caller: 'whoever calls jagway',
  user: 'the user, by signing in again',
  administrator: 'an administrator of jagway',
  'identity provider': 'an administrator of the identity provider',
  'authorization server': 'an administrator of the authorization server',
  API: 'whoever runs the API',
  nobody: 'nobody; it passes',
}

/** The page of a code, in Markdown. */
export async function renderPage(code: RefusalCode): Promise<string> {
  const { says, fix } = pageOf(code)
  const { expected, got, who, fields = [], related = [] } = PAGES[code]
  const tool = TOOLS[code.slice(0, 3)]
  return `${[
    `# ${code}`,
    `${capital(says)}.`,
    `**What to do.** ${fix}`,
    `**Expected:** ${expected}.`,
    `**Got:** ${got}.`,
    `**Who can change it:** ${who.map((party) => PARTIES[party]).join('; ')}.`,
    ...(fields.length === 0 ? [] : [`**In jagway.jsonc:** ${fields.map((field) => `\`${field}\``).join(', ')}.`]),
    ...(tool === undefined
      ? []
      : [`**To look closer:** ${tool}; see [doctor.md](../doctor.md#ten-faults-that-happen).`]),
    ...(await renderAnswers(code)),
    ...(related.length === 0
      ? []
      : [`**Looks like it:** ${related.map((other) => `[${other}](${other}.md)`).join(', ')}.`]),
  ].join('\n\n')}\n`
}

/** What looks further than an answer may say, by family. */
const TOOLS: Readonly<Record<string, string>> = {
  TOK: '`npx jagway jwt --config FILE < TOKEN` says what is in a token and what is wrong with it',
  POL: '`npx jagway explain` says which condition of which rule failed, and `npx jagway jwt` what is in the token',
  IDP: '`npx jagway doctor` asks the servers and shows the line to change',
  RAS: '`npx jagway doctor` asks the servers and shows the line to change',
  UPS: '`npx jagway doctor` asks the servers and shows the line to change',
}

const CONTEXT = { requestId: 'req_01', errorPages: 'https://gw.example/errors/', inFull: true }

async function renderAnswers(code: RefusalCode): Promise<readonly string[]> {
  const isOfRule = code === 'POL101' || code === 'POL103' || code === 'LIM205'
  const refusal: Refusal = { code, name: isOfRule ? 'no-contractors' : 'tasks' }
  const { status } = toResourceVoice(code)
  const problem = toProblem(refusal, CONTEXT, {
    metadataUrl: 'https://gw.example/.well-known/oauth-protected-resource/r/tasks',
    scopes: ['todos.read'],
    dpop: false,
  })
  const answers = [`At a resource, ${status}:`, fenced(await problem.json())]
  if (/^(?:ADM|UPS)/.test(code)) return answers
  const token = toTokenVoice(code)
  return [...answers, `At the token endpoint, ${token.status} \`${token.error}\` (kind \`${kindOf(code)}\`).`]
}

function fenced(body: unknown): string {
  return ['```json', JSON.stringify(body, undefined, 2), '```'].join('\n')
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
