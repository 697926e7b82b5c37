// What a Worker in front of an API costs when it does nothing: the other side of every ratio.

export default {
  fetch(request: Request): Promise<Response> {
    return fetch(new Request(`https://api.example${request.url.slice(request.url.indexOf('/', 8))}`, request))
  },
}
