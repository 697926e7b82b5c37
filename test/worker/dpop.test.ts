// Callers that prove possession of a key (RFC 9449), at both doors of the built Worker: what is taken, what is refused and how,
// and that a refused proof causes nothing.
import type { OutgoingHttpHeaders } from 'node:http'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { proofBy, thumbprintOf, type ProofChanges } from '../support/dpop.ts'
import { createTestKey, type TestKey } from '../support/keys.ts'
import { expectNothingSent, expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Answer, type Grant, type Stage } from '../support/stage.ts'

let stage: Stage
let mine: TestKey
let jkt: string

beforeAll(async () => {
  mine = await createTestKey('mine')
  jkt = await thumbprintOf(mine)
  stage = await openStage({
    edit: (config) => ({
      ...config,
      idps: {
        ...config.idps,
        corp: {
          ...config.idps.corp,
          clients: {
            ...config.idps.corp.clients,
            tablet: { ...config.idps.corp.clients.desktop, id: 'tablet', edge_client: 'tablet' },
          },
        },
      },
      policy: {
        rules: [
          ...config.policy.rules,
          { id: 'tablets', effect: 'allow', who: { clients: ['tablet'] }, resources: ['tasks'], paths: ['/v1/**'] },
        ],
      },
      clients: {
        ...config.clients,
        // Must bind, at the edge and at the token endpoint; the latter with a nonce, too.
        desktop: { ...config.clients.desktop, dpop: 'required' },
        tablet: { subject_tokens: ['corp/tablet'], dpop_nonce: 'required' },
        narrow: { ...config.clients.narrow, dpop: 'required', dpop_nonce: 'required' },
      },
    }),
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const now = () => Math.floor(Date.now() / 1000)

const proofAt = (path: string, method: string, changes?: ProofChanges) =>
  proofBy(mine, method, `${stage.gateway.url}${path}`, now(), changes)

const ask = async (token: string, changes: ProofChanges = {}, path = '/r/tasks/v1/todos'): Promise<Answer> => {
  const dpop = await proofAt(path, 'GET', { token, ...changes })
  return stage.ask({ path, headers: { authorization: `DPoP ${token}`, dpop } })
}

const grant = async (dpop: OutgoingHttpHeaders[string], rest: Omit<Grant, 'headers'> = {}) =>
  stage.grant({ ...rest, headers: dpop === undefined ? {} : { dpop } })

describe('at a resource', () => {
  test('a bound token and its proof pass, and nothing of either goes on', async () => {
    const token = await stage.world.corp.idToken({ cnf: { jkt } })
    const answer = await ask(token)
    expect(answer.status).toBe(200)
    const { headers } = stage.world.tasks.api.last
    expect(headers['authorization']).toMatch(/^Bearer at-tasks-/)
    expect(headers).not.toHaveProperty('dpop')
    expect(stage.world.strays()).toEqual([])
    expect(await answer.event()).toMatchObject({ client: { id: 'people', auth: 'edge', dpop_jkt: jkt } })
  })

  test('a client written by others passes, and is told its nonces', async () => {
    const keys = await oauth.generateKeyPair('ES256')
    const DPoP = oauth.DPoP({}, keys)
    const cnf = { jkt: await DPoP.calculateThumbprint() }
    // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
    const options = { DPoP, [oauth.allowInsecureRequests]: true }
    const url = new URL(`${stage.gateway.url}/r/tasks/v1/todos?done=no`)
    const send = async (aud: string) => {
      const token = await stage.world.corp.idToken({ aud, cnf })
      return oauth.protectedResourceRequest(token, 'GET', url, new Headers(), null, options)
    }
    expect((await send('gw')).status).toBe(200)
    // This one is asked for a nonce; its library remembers that, and sends it the next time.
    const refused: unknown = await send('tablet').catch((error: unknown) => error)
    expect(oauth.isDPoPNonceError(refused)).toBe(true)
    expect((await send('tablet')).status).toBe(200)
  })

  test('the same proof a second time', async () => {
    const token = await stage.world.corp.idToken({ cnf: { jkt } })
    const dpop = await proofAt('/r/tasks/v1/todos', 'GET', { token })
    const headers = { authorization: `DPoP ${token}`, dpop }
    expect((await stage.ask({ headers })).status).toBe(200)
    stage.world.calm()
    await expectProblem(await stage.ask({ headers }), 'CLI114', 401)
    expectNothingSent(stage)
  })

  test('no proof', async () => {
    const token = await stage.world.corp.idToken({ cnf: { jkt } })
    await expectProblem(await stage.ask({ headers: { authorization: `DPoP ${token}` } }), 'CLI114', 401)
    expectNothingSent(stage)
  })

  test('two proofs', async () => {
    const token = await stage.world.corp.idToken({ cnf: { jkt } })
    const dpop = [
      await proofAt('/r/tasks/v1/todos', 'GET', { token }),
      await proofAt('/r/tasks/v1/todos', 'GET', { token }),
    ]
    await expectProblem(await stage.ask({ headers: { authorization: `DPoP ${token}`, dpop } }), 'CLI114', 401)
    expectNothingSent(stage)
  })

  test('a proof beside a bearer token', async () => {
    const token = await stage.world.corp.idToken()
    const dpop = await proofAt('/r/tasks/v1/todos', 'GET', { token })
    await expectProblem(await stage.ask({ token, headers: { dpop } }), 'CLI114', 401)
    expectNothingSent(stage)
  })

  test('a bound token as a bearer token', async () => {
    const answer = await stage.ask({ token: await stage.world.corp.idToken({ cnf: { jkt } }) })
    await expectProblem(answer, 'TOK110', 401)
    expect(answer.headers['www-authenticate']).toMatch(
      /^DPoP error="invalid_token", error_description="TOK110: .*algs="ES256 ES384 EdDSA PS256 RS256"/,
    )
    expectNothingSent(stage)
  })

  test('a token that is not bound', async () => {
    await expectProblem(await ask(await stage.world.corp.idToken()), 'TOK111', 401)
    expectNothingSent(stage)
  })

  test('a bearer token of a client that must bind', async () => {
    const token = await stage.world.corp.idToken({ aud: 'desktop' })
    await expectProblem(await stage.ask({ token }), 'CLI120', 401)
    expectNothingSent(stage)
    expect((await ask(await stage.world.corp.idToken({ aud: 'desktop', cnf: { jkt } }))).status).toBe(200)
  })

  test.each<readonly [string, ProofChanges]>([
    ['another method', { claims: { htm: 'POST' } }],
    ['the upstream', { claims: { htu: 'http://127.0.0.1/v1/todos' } }],
    ['another token', { token: 'another' }],
    ['yesterday', { claims: { iat: 1_700_000_000 } }],
    ['nobody, by its type', { header: { typ: 'JWT' } }],
  ])('a proof for %s', async (_what, changes) => {
    await expectProblem(await ask(await stage.world.corp.idToken({ cnf: { jkt } }), changes), 'CLI114', 401)
    expectNothingSent(stage)
  })
})

describe('at the token endpoint', () => {
  test('a good proof is taken, also where none is required', async () => {
    expect((await grant(await proofAt('/token', 'POST'))).status).toBe(200)
  })

  test.each<readonly [string, ProofChanges]>([
    ['another method', { claims: { htm: 'GET' } }],
    ['another address', { claims: { htu: 'https://evil.example/token' } }],
    ['nothing: garbage', { header: { alg: 'none' } }],
  ])('a proof for %s', async (_what, changes) => {
    const answer = await grant(await proofAt('/token', 'POST', changes))
    await expectTokenError(answer, 'CLI114', 400, 'invalid_dpop_proof')
    expectNothingSent(stage)
  })

  test('a bound token with the proof of another key, or none', async () => {
    const form = { subject_token: await stage.world.corp.idToken({ cnf: { jkt: await thumbprintOf(stage.agentKey) } }) }
    const answers = [await grant(await proofAt('/token', 'POST'), { form }), await grant(undefined, { form })]
    for (const answer of answers) await expectTokenError(answer, 'TOK110', 400, 'invalid_request')
    expectNothingSent(stage)
  })

  test('no proof of a client that must bind', async () => {
    await expectTokenError(await grant(undefined, { client: 'narrow' }), 'CLI120', 400, 'invalid_request')
    expectNothingSent(stage)
  })

  test('a nonce is wanted, told, taken, and told anew', async () => {
    const refused = await grant(await proofAt('/token', 'POST'), { client: 'narrow' })
    await expectTokenError(refused, 'CLI121', 400, 'use_dpop_nonce')
    expectNothingSent(stage)
    const nonce = refused.headers['dpop-nonce']
    const taken = await grant(await proofAt('/token', 'POST', { claims: { nonce } }), { client: 'narrow' })
    expect(taken.status).toBe(200)
    expect(taken.headers['dpop-nonce']).toMatch(/^[\w-]{43}$/)
    const stale = await proofAt('/token', 'POST', { claims: { nonce: 'stale' } })
    await expectTokenError(await grant(stale, { client: 'narrow' }), 'CLI121', 400, 'use_dpop_nonce')
  })
})
