// Workers KV as a map in memory. workerd turns the calls on a KV binding into HTTP requests to the service the binding names:
// GET, PUT and DELETE on /NAME. Lifetimes are not kept; a run is shorter than any of them.

const values = new Map<string, ArrayBuffer>()
const counts = { gets: 0, misses: 0, puts: 0 }

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url)
    if (pathname === '/counts') return Response.json(counts)
    if (request.method === 'PUT') {
      counts.puts += 1
      values.set(pathname, await request.arrayBuffer())
      return new Response()
    }
    if (request.method === 'DELETE') {
      values.delete(pathname)
      return new Response()
    }
    counts.gets += 1
    const value = values.get(pathname)
    if (value !== undefined) return new Response(value)
    counts.misses += 1
    return new Response(undefined, { status: 404 })
  },
}
