// Authorization details on both hops (RFC 9396): asked of the identity provider, carried in the ID-JAG, told by the answer.
import { describe, expect, test } from 'vitest'
import type { AuthorizationDetails } from '../../../src/model.ts'
import { answer, exchange, exchanged, idJagOf, mintIdJag, redeem, redeemed } from './legs-world.ts'

const asked: AuthorizationDetails = {
  json: '[{"amount":"10","type":"payment"},{"type":"account"}]',
  types: ['account', 'payment'],
}
const granted = [{ type: 'payment', amount: '5' }]
const grantedJson = '[{"amount":"5","type":"payment"}]'

describe('exchangeForIdJag()', () => {
  test('sends them as one parameter, as they are decided on, and none where none are asked', async () => {
    const [one] = (await exchange(answer(await exchanged()), { details: asked })).asked
    expect(one?.parameters.filter(([name]) => name === 'authorization_details')).toEqual([
      ['authorization_details', asked.json],
    ])
    const [other] = (await exchange(answer(await exchanged()))).asked
    expect(other?.parameters.map(([name]) => name)).not.toContain('authorization_details')
  })

  const detailsOf = async (answered: unknown, claim: unknown, details: AuthorizationDetails | undefined = asked) => {
    const token = await mintIdJag({ authorization_details: claim })
    const body = await exchanged({ access_token: token, authorization_details: answered })
    const { result } = await exchange(answer(body), { details })
    return result.ok ? (result.value.details?.json ?? 'none') : result.error.code
  }

  test('believes the claim before the answer, and both before what was asked', async () => {
    expect(await detailsOf(undefined, undefined)).toBe(asked.json)
    expect(await detailsOf(granted, undefined)).toBe(grantedJson)
    expect(await detailsOf(undefined, granted)).toBe(grantedJson)
    expect(await detailsOf([{ type: 'account' }], granted)).toBe(grantedJson)
  })

  test('refuses a type that was not asked, and what is no such array, with IDP109', async () => {
    for (const bad of [[{ type: 'admin' }], [...granted, { type: 'admin' }], 'payment', { type: 'payment' }, [5]]) {
      expect(await detailsOf(bad, undefined)).toBe('IDP109')
      expect(await detailsOf(undefined, bad)).toBe('IDP109')
    }
  })

  test('refuses the empty array: nothing was granted', async () => {
    expect(await detailsOf([], undefined)).toBe('IDP107')
    expect(await detailsOf(undefined, [])).toBe('IDP107')
  })

  test('has none where none were asked, whatever the server thinks', async () => {
    const { result } = await exchange(answer(await exchanged({ authorization_details: granted })))
    expect(result.ok && result.value.details).toBeUndefined()
  })
})

describe('redeemIdJag()', () => {
  const detailsOf = async (answered: unknown, details: AuthorizationDetails | undefined = asked) => {
    const { result, asked: sent } = await redeem(answer(redeemed({ authorization_details: answered })), {
      idJag: { ...idJagOf(), details },
    })
    expect(sent[0]?.parameters.map(([name]) => name)).not.toContain('authorization_details')
    return result.ok ? (result.value.details?.json ?? 'none') : result.error.code
  }

  test('takes what the answer says, else what the ID-JAG has, and does not send them again', async () => {
    expect(await detailsOf(undefined)).toBe(asked.json)
    expect(await detailsOf(null)).toBe(asked.json)
    expect(await detailsOf(granted)).toBe(grantedJson)
  })

  test('refuses a type the ID-JAG does not have, and what is no such array, with RAS109', async () => {
    for (const bad of [[{ type: 'admin' }], 'payment', {}, [{}]]) expect(await detailsOf(bad)).toBe('RAS109')
  })

  test('refuses the empty array: nothing was granted', async () => {
    expect(await detailsOf([])).toBe('RAS107')
  })
})
