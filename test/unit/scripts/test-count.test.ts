// What the last line of a CI run says for a vitest report.

import { describe, expect, test } from 'vitest'
import { countLine, countTests } from '../../../scripts/test-count.ts'

type Totals = {
  readonly passed?: number
  readonly failed?: number
  readonly pending?: number
  readonly files?: object[]
}

function report({ passed = 0, failed = 0, pending = 0, files = [] }: Totals, success = failed === 0): string {
  return JSON.stringify({
    success,
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: pending,
    numTodoTests: 0,
    testResults: files,
  })
}

describe('countTests()', () => {
  test('is content when something passed and nothing failed', () => {
    const count = countTests(report({ passed: 3 }))
    expect(count.good).toBe(true)
    expect(countLine(count)).toBe('3 passed, 0 failed')
  })

  test('names skipped tests when there are any', () => {
    expect(countLine(countTests(report({ passed: 3, pending: 2 })))).toBe('3 passed, 0 failed, 2 skipped')
  })

  test('takes a run in which nothing was executed for a failure', () => {
    expect(countTests(report({})).good).toBe(false)
    expect(countTests(report({ pending: 9 })).good).toBe(false)
  })

  test('counts a file that did not load as failed', () => {
    const files = [
      { status: 'failed', assertionResults: [] },
      { status: 'failed', assertionResults: [{ status: 'failed' }] },
    ]
    const count = countTests(report({ passed: 1, failed: 1, files }))
    expect(countLine(count)).toBe('1 passed, 2 failed')
    expect(count.good).toBe(false)
  })

  test('is not content with a run that vitest itself calls unsuccessful', () => {
    expect(countTests(report({ passed: 5 }, false)).good).toBe(false)
  })
})
