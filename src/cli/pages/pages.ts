// The manual of refusals: one page per code, from the catalogue of the Worker and what is said here beyond it. Everything that
// shows a page shows this one: docs/errors, and `jagway explain CODE`.

import { toAdminProblem, toPage, toProblem, toTokenError, type AnswerContext } from '../../oauth/answers.ts'
import { kindOf, pageOf, toResourceVoice, toTokenVoice, type Refusal, type RefusalCode } from '../../refusal.ts'
import { AT_OUR_DOOR } from './at-our-door.ts'
import { BEHIND_US } from './behind-us.ts'
import { OURS } from './ours.ts'
import type { Door, Page, Party } from './page.ts'

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

const CONTEXT: AnswerContext = { requestId: 'req_01', errorPages: 'https://gw.example/errors/', inFull: true }

/** Where a code can come from. */
export function doorsOf(code: RefusalCode): readonly Door[] {
  return PAGES[code].doors
}

const METADATA_URL = 'https://gw.example/.well-known/oauth-protected-resource/r/tasks'

/** The answer at each door, the first of them in full. */
async function renderAnswers(code: RefusalCode): Promise<readonly string[]> {
  const isOfRule = code === 'POL101' || code === 'POL103' || code === 'LIM205'
  const refusal: Refusal = { code, name: isOfRule ? 'no-contractors' : 'tasks' }
  const answers = PAGES[code].doors.map((door) => toAnswer(door, refusal))
  const [first, ...others] = answers
  if (first === undefined) return []
  const body = await first.answer.text()
  const whole = first.answer.headers.get('content-type')?.includes('json')
    ? fenced('json', JSON.stringify(JSON.parse(body), undefined, 2))
    : fenced('text', body.trimEnd())
  return [`${first.where}:`, whole, ...others.map(({ where }) => `${where}.`)]
}

function toAnswer(door: Door, refusal: Refusal): { readonly where: string; readonly answer: Response } {
  const { status } = toResourceVoice(refusal.code)
  const { status: tokenStatus, error } = toTokenVoice(refusal.code)
  const ofClients = (where: string) => ({
    where: `At ${where}, ${tokenStatus} \`${error}\` (kind \`${kindOf(refusal.code)}\`)`,
    answer: toTokenError(refusal, CONTEXT, false),
  })
  switch (door) {
    case 'resource': {
      const challenged = { metadataUrl: METADATA_URL, scopes: ['todos.read'], dpop: false }
      return { where: `At a resource, ${status}`, answer: toProblem(refusal, CONTEXT, challenged) }
    }
    case 'admin':
      return { where: `In the administration, ${status}, as a problem`, answer: toAdminProblem(refusal, CONTEXT) }
    case 'public': {
      const where = `Where no decision is made (no resource, a public document), ${status}, as a problem`
      // Of these answers only a fault of ours has an event.
      if (refusal.code === 'INT100') return { where, answer: toProblem(refusal, CONTEXT, undefined) }
      const answer = toProblem(refusal, { ...CONTEXT, requestId: undefined }, undefined)
      return { where: `${where} without \`request_id\``, answer }
    }
    case 'clients':
      return ofClients('`/token`, `/revoke` and `/introspect`')
    case 'token':
      return ofClients('the token endpoint')
    case 'revoke':
      return ofClients('the revocation endpoint')
    case 'sign-in':
      return { where: `At \`/authorize\`, ${status}`, answer: toPage(refusal, CONTEXT) }
  }
}

function fenced(language: string, text: string): string {
  return [`\`\`\`${language}`, text, '```'].join('\n')
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
