// Reads the report of a vitest run (its json reporter) and prints one plain line. A run in which nothing was executed is
// a failure: it proves nothing.

import { readFileSync } from 'node:fs'
import process from 'node:process'
import * as v from 'valibot'

const reportSchema = v.object({
  success: v.boolean(),
  numPassedTests: v.number(),
  numFailedTests: v.number(),
  numPendingTests: v.number(),
  numTodoTests: v.number(),
  testResults: v.array(v.object({ status: v.string(), assertionResults: v.array(v.object({ status: v.string() })) })),
})

export type Count = {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly good: boolean
}

export function countTests(reportText: string): Count {
  const report = v.parse(reportSchema, JSON.parse(reportText))
  // A file that does not even load has no failed test in it, and has failed all the same.
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  )
  const passed = report.numPassedTests
  const failed = report.numFailedTests + unloaded.length
  const skipped = report.numPendingTests + report.numTodoTests
  return { passed, failed, skipped, good: report.success && failed === 0 && passed > 0 }
}

export function countLine({ passed, failed, skipped }: Count): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function reportIn(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

if (import.meta.main) {
  const text = reportIn(process.argv[2] ?? '')
  if (text === '') {
    console.log('0 passed, 0 failed')
    console.error('vitest left no report: nothing was executed')
    process.exitCode = 1
  } else {
    const count = countTests(text)
    console.log(countLine(count))
    process.exitCode = count.good ? 0 : 1
  }
}
