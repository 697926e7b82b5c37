// The contract of Introductions, on both grounds: one thing after the other for each subject token.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import { fromUtf8 } from '../../src/lib/bytes.ts'
import type { Landing, SubjectJob } from '../../src/ports.ts'
import { createSubjectJob, subjectSightOf } from './scripted-subject.ts'

const ground = createGround()
const { introductions } = ground

function ask(job: SubjectJob): Promise<Landing> {
  return introductions.introduce(job.name, job)
}

async function remembered(name: string): Promise<string | undefined> {
  const sealed = await introductions.recall(name)
  const text = sealed && fromUtf8(sealed)
  return text?.ok === true ? text.value : undefined
}

describe('Introductions', () => {
  test('who asks for the same at the same time gets one answer of one run', async () => {
    const job = createSubjectJob({ delayMs: 200 })
    const landings = await Promise.all(Array.from({ length: 200 }, () => ask(job)))
    expect(new Set(landings.map((landing) => subjectSightOf(landing).run))).toEqual(new Set([1]))
    const led = landings.filter((landing) => landing.landed && landing.fresh)
    expect(led).toHaveLength(1)
    expect(landings.filter((landing) => 'quota' in landing)).toEqual(led)
    expect(landings.filter(({ ms }) => ms.exchange !== undefined)).toEqual(led)
  })

  test('different wishes of one subject token are met one after the other, each with what the one before has left', async () => {
    const { name } = createSubjectJob()
    const jobs = Array.from({ length: 10 }, (_, index) => createSubjectJob({ wish: `${index}` }, { name }))
    const sights = (await Promise.all(jobs.map(ask))).map(subjectSightOf)
    expect(sights.map(({ run }) => run).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(sights.map(({ atOnce }) => atOnce)).toEqual(jobs.map(() => 1))
  })

  test('two subject tokens do not wait for each other', async () => {
    const start = Date.now()
    await Promise.all(Array.from({ length: 5 }, () => ask(createSubjectJob({ delayMs: 300 }))))
    expect(Date.now() - start).toBeLessThan(1_200)
  })

  test('another that is wanted instead of one is another wish', async () => {
    const job = createSubjectJob({ delayMs: 100 })
    const landings = await Promise.all([ask(job), ask({ ...job, insteadOf: 'one' }), ask({ ...job, tokensUntil: 5 })])
    expect(landings.map((landing) => subjectSightOf(landing).run).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
  })

  test('what is kept is there for the next run, and for whoever asks for it by its name', async () => {
    const job = createSubjectJob()
    expect(await remembered(job.name)).toBeUndefined()
    expect(subjectSightOf(await ask(job)).run).toBe(1)
    expect(await remembered(job.name)).toBe('1')
    expect(subjectSightOf(await ask(job)).run).toBe(2)
    expect(await remembered(job.name)).toBe('2')
    expect(await remembered(`${job.name}x`)).toBeUndefined()
  })

  test.each(['keep_and_throw', 'keep_and_refuse'] as const)('it is also after a run that had to %s', async (step) => {
    const job = createSubjectJob({ step })
    const outcome = await ask(job).then(
      ({ landed }) => landed,
      () => 'threw',
    )
    expect(outcome).toBe(step === 'keep_and_throw' ? 'threw' : false)
    expect(await remembered(job.name)).toBe('1')
    expect(subjectSightOf(await ask(createSubjectJob({}, { name: job.name }))).run).toBe(2)
  })

  test('a run that breaks takes those with it who waited for it, and nobody else', async () => {
    const broken = createSubjectJob({ step: 'throw', delayMs: 100 })
    const sound = createSubjectJob({}, { name: broken.name })
    const outcomes = await Promise.allSettled([ask(broken), ask(broken), ask(sound)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    await expect(ask(broken)).rejects.toThrow()
  })

  test('a refusal answers for as long as it should, and for the same wish alone', async () => {
    const job = createSubjectJob({ step: 'refuse_for_a_while', rememberForSeconds: 1 })
    expect(await ask(job)).toMatchObject({ landed: false, refusal: { code: 'IDP101' }, ms: { exchange: 1 } })
    expect(await ask(job)).toEqual({ landed: false, refusal: { code: 'IDP101', detail: 'run 1' }, ms: {} })
    expect(await ask(createSubjectJob({}, { name: job.name }))).toMatchObject({ landed: true })
    await ground.pass(1.1)
    expect(await ask(job)).toMatchObject({ landed: false, ms: { exchange: 2 } })
  })

  test('a refusal that is not to be remembered is not', async () => {
    const job = createSubjectJob({ step: 'refuse' })
    expect(await ask(job)).toMatchObject({ landed: false, ms: { exchange: 1 } })
    expect(await ask(job)).toMatchObject({ landed: false, ms: { exchange: 1 } })
  })

  test('what is remembered is forgotten when its time is over', async () => {
    const job = createSubjectJob({ rememberForSeconds: 1 })
    expect(subjectSightOf(await ask(job)).run).toBe(1)
    await ground.pass(2.1)
    expect(await remembered(job.name)).toBeUndefined()
    expect(subjectSightOf(await ask(job)).run).toBe(1)
  })

  test('more than sixteen wishes at once are too many for one subject token', async () => {
    const { name } = createSubjectJob()
    const jobs = Array.from({ length: 20 }, (_, index) => createSubjectJob({ wish: `${index}` }, { name }))
    const outcomes = await Promise.allSettled(jobs.map(ask))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(16)
  })
})

describe.skipIf(ground.platform === undefined)('the object of a subject token', () => {
  test('keeps what it remembers when it is put out of memory', async () => {
    const job = createSubjectJob()
    await ask(job)
    await ground.platform?.evict(job.name)
    expect(subjectSightOf(await ask(job)).run).toBe(2)
  })

  test('deletes it when its time is over', async () => {
    const job = createSubjectJob({ rememberForSeconds: 1 })
    await ask(job)
    expect(await ground.platform?.stored(job.name)).toBe(1)
    await ground.pass(1.1)
    // It may have rung by itself.
    await ground.platform?.ring(job.name)
    expect(await ground.platform?.stored(job.name)).toBe(0)
  })

  test('that cannot be reached has nobody to stand in for it', async () => {
    const down = { introduce: () => Promise.reject(new Error('down')), recall: () => Promise.reject(new Error('down')) }
    const port = ground.platform?.cloudflare.createIntroductions({ getByName: () => down })
    await expect(port?.introduce('s1.x', createSubjectJob())).rejects.toThrow('down')
    await expect(port?.recall('s1.x')).rejects.toThrow('down')
  })
})
