import { describe, expect, test } from 'vitest'
import { createRoutes } from '../../../src/gateway/routes.ts'
import type { Proxy, Resource } from '../../../src/parties.ts'
import { resourceOf } from '../support/proofs.ts'

function at(name: string, match: Proxy['match']): Resource {
  const url = match.kind === 'path' ? `https://gw.test${match.prefix}` : `https://${match.host}`
  return resourceOf({
    name,
    proxy: {
      match,
      upstream: 'https://api.test',
      requestHeaders: [],
      cookies: [],
      ownOrigins: new Set(),
      replayMaxBytes: 0,
      webSocket: false,
      publicUrl: url,
      metadataUrl: `${url}/m`,
    },
  })
}

const routes = createRoutes([
  at('tasks', { kind: 'path', prefix: '/r/tasks' }),
  at('deep', { kind: 'path', prefix: '/r/deep/er' }),
  at('notes', { kind: 'host', host: 'notes.gw.test' }),
  resourceOf({ name: 'hidden', proxy: undefined }),
])

const byPath = (url: string): unknown => {
  const route = routes.byPath(url)
  return route && [route.resource.name, route.rest, route.search]
}

const byHost = (url: string): unknown => {
  const route = routes.byHost(url)
  return route && [route.resource.name, route.rest, route.search]
}

describe('byPath()', () => {
  test.each([
    ['https://gw.test/r/tasks', ['tasks', '/', '']],
    ['https://gw.test/r/tasks/', ['tasks', '/', '']],
    ['https://gw.test/r/tasks/v1/todos', ['tasks', '/v1/todos', '']],
    ['https://gw.test/r/tasks?a=b', ['tasks', '/', '?a=b']],
    ['https://gw.test/r/tasks/x?a=/r/deep/er/&b=?', ['tasks', '/x', '?a=/r/deep/er/&b=?']],
    ['https://gw.test/r/deep/er/x', ['deep', '/x', '']],
    ['http://gw.test:8787/r/tasks/x', ['tasks', '/x', '']],
  ])('finds %s', (url, found) => {
    expect(byPath(url)).toEqual(found)
  })

  test('appends nothing where nothing follows: an endpoint is not the folder of that name', () => {
    expect(routes.byPath('https://gw.test/r/tasks?a=b')).toMatchObject({ rest: '/', suffix: '', search: '?a=b' })
    expect(routes.byPath('https://gw.test/r/tasks/')).toMatchObject({ rest: '/', suffix: '/' })
    expect(routes.byPath('https://gw.test/r/tasks/x')).toMatchObject({ rest: '/x', suffix: '/x' })
    expect(routes.byHost('https://notes.gw.test')).toMatchObject({ rest: '/', suffix: '/' })
  })

  test('cuts the path out byte for byte: nothing is decoded, folded or resolved', () => {
    for (const rest of ['/%61', '/a%2Fb', '/%2e%2e/x', '//x', '/;a=b', '/%C3%A9', '/x?', '/a+b', '/*']) {
      expect(byPath(`https://gw.test/r/tasks${rest}`)).toEqual([
        'tasks',
        rest.replace(/\?$/, ''),
        rest.endsWith('?') ? '?' : '',
      ])
    }
  })

  test.each([
    'https://gw.test/',
    'https://gw.test',
    'https://gw.test/r',
    'https://gw.test/r/tasksx',
    'https://gw.test/r/tasks.x/y',
    'https://gw.test/r/tasks%2Fx',
    'https://gw.test/r/%74asks/x',
    'https://gw.test/R/tasks/x',
    'https://gw.test//r/tasks/x',
    'https://gw.test/x/r/tasks',
    'https://gw.test/r/deep',
    'https://gw.test/?/r/tasks/x',
    'https://gw.test/hidden',
  ])('finds nothing at %s', (url) => {
    expect(byPath(url)).toBeUndefined()
  })
})

describe('byHost()', () => {
  test('finds the resource that owns a host, with the whole path', () => {
    expect(byHost('https://notes.gw.test/r/tasks/x?y')).toEqual(['notes', '/r/tasks/x', '?y'])
    expect(byHost('https://NOTES.gw.test:8443/')).toEqual(['notes', '/', ''])
    expect(byHost('https://notes.gw.test')).toEqual(['notes', '/', ''])
  })

  test.each([
    'https://gw.test/notes.gw.test',
    'https://x.notes.gw.test/',
    'https://notes.gw.test.evil.test/',
    'https://notes.gw.test@evil.test/',
    'https://evil.test/?notes.gw.test',
  ])('finds nothing at %s', (url) => {
    expect(byHost(url)).toBeUndefined()
  })

  test('finds nothing where no resource has a host', () => {
    expect(createRoutes([at('tasks', { kind: 'path', prefix: '/r' })]).byHost('https://notes.gw.test/')).toBeUndefined()
  })
})
