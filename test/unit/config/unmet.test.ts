import { describe, expect, test } from 'vitest'
import { placeUnmet, renderProblems } from '../../../src/config/config.ts'

const TEXT = `{
  "audit": { "http": { "key": { "secret": "COLLECTOR_KEY" } }, "queue": { "binding": "EVENTS", "bucket": "ARCHIVE" } },
  "idps": {
    "corp": { "clients": { "gw": { "auth": { "method": "client_secret_basic", "secret": { "secret": "CORP" } } } } },
    "other": { "clients": { "gw": { "auth": { "method": "tls_client_auth", "certificate": { "binding": "CERT" } } } } },
  },
  "resources": { "tasks": { "client": { "auth": { "secret": { "secret": "CORP" } } } } },
  "policy": { "rules": [{ "id": "export", "rate": { "binding": "EXPORTS" } }] },
}
`

describe('placeUnmet()', () => {
  test('shows what is not there where the file first names it', () => {
    const problems = placeUnmet(
      [
        { kind: 'limit', name: 'EXPORTS' },
        { kind: 'secret', name: 'CORP' },
        { kind: 'certificate', name: 'CERT' },
        { kind: 'secret', name: 'COLLECTOR_KEY' },
        { kind: 'bucket', name: 'ARCHIVE' },
        { kind: 'queue', name: 'EVENTS' },
      ],
      TEXT,
      'jagway.jsonc',
    )
    expect(problems.map(({ line, column, code, message }) => `${line}:${column} ${code} ${message}`)).toEqual([
      '2:43 CFG113 the secret COLLECTOR_KEY has no value here',
      '2:86 CFG115 no queue is bound as EVENTS',
      '2:106 CFG115 no bucket is bound as ARCHIVE',
      '4:101 CFG113 the secret CORP has no value here',
      '5:104 CFG115 no client certificate is bound as CERT',
      '8:64 CFG115 no rate limit is bound as EXPORTS',
    ])
    expect(renderProblems(TEXT, problems)).toContain('wrangler secret put CORP')
  })

  test('a sealing key that is not written down is told at the file, one that is too short is no missing one', () => {
    const unmet = [{ kind: 'secret', name: 'JAGWAY_SEALING_KEY', weak: true }] as const
    expect(placeUnmet(unmet, TEXT, 'jagway.jsonc')).toMatchObject([
      { line: 1, code: 'CFG114', message: 'the sealing key JAGWAY_SEALING_KEY is too short' },
    ])
  })

  test('a name that stands elsewhere is not taken for it', () => {
    const text = '{ "scopes": ["CORP"], "resource": "CORP", "auth": { "secret": { "secret": "CORP" } } }'
    expect(placeUnmet([{ kind: 'secret', name: 'CORP' }], text, 'x')).toMatchObject([{ column: 75 }])
  })
})
