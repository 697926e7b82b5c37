// Which resource a URL belongs to: by host, else by path prefix. The path is cut out of the URL as it came; it is not
// parsed again, so that what was checked is what is forwarded.
import type { Proxy, Resource } from '../parties.ts'

export interface Route {
  readonly resource: Resource
  readonly proxy: Proxy
  /** The raw path at the resource, beginning with `/`. */
  readonly rest: string
  /** What is appended to the upstream: `rest`, or nothing where nothing follows the place of the resource. */
  readonly suffix: string
  /** The raw query with its `?`, or nothing. */
  readonly search: string
}

export interface Routes {
  /** The resource that owns a whole host. */
  byHost(url: string): Route | undefined
  byPath(url: string): Route | undefined
}

interface Target {
  readonly resource: Resource
  readonly proxy: Proxy
}

export function createRoutes(resources: Iterable<Resource>): Routes {
  const hosts = new Map<string, Target>()
  const prefixes: (Target & { readonly prefix: string })[] = []
  for (const resource of resources) {
    const { proxy } = resource
    if (proxy === undefined) continue
    if (proxy.match.kind === 'host') hosts.set(proxy.match.host, { resource, proxy })
    else prefixes.push({ resource, proxy, prefix: proxy.match.prefix })
  }
  return {
    byHost(url) {
      // A Host header need not be a host.
      if (hosts.size === 0 || !URL.canParse(url)) return undefined
      const target = hosts.get(new URL(url).hostname)
      if (target === undefined) return undefined
      const { rest, search } = split(url)
      return { ...target, rest, suffix: rest, search }
    },
    byPath(url) {
      const { rest, search } = split(url)
      // The configuration takes no prefix that contains another, so at most one fits.
      const target = prefixes.find(
        ({ prefix }) => rest.startsWith(prefix) && (rest.length === prefix.length || rest[prefix.length] === '/'),
      )
      if (target === undefined) return undefined
      const { resource, proxy, prefix } = target
      const suffix = rest.slice(prefix.length)
      return { resource, proxy, rest: suffix || '/', suffix, search }
    },
  }
}

/** The URL of a request as its caller knows it, without query: behind us stands a host of ours, before us may stand others. */
export function toPublicUrl(url: string, { publicUrl }: Proxy): string {
  return new URL(publicUrl).origin + split(url).rest
}

/** Path and query of an absolute URL, byte for byte. The platform has cut off any fragment. */
function split(url: string): { readonly rest: string; readonly search: string } {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  const path = start < 0 ? '/' : url.slice(start)
  const query = path.indexOf('?')
  return query < 0 ? { rest: path, search: '' } : { rest: path.slice(0, query), search: path.slice(query) }
}
