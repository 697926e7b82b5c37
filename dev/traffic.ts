// What the servers of the local world have received, and what they shall do wrong next. Tests read the one and set the other.

export type Role = 'idp' | 'tasks-as' | 'tasks-api' | 'notes-as' | 'notes-api'

export type Form = Record<string, string | string[] | undefined>

export type Exchange = {
  /** Counts all requests to the world, from 0; `clear` does not start it anew. */
  readonly index: number
  readonly role: Role
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly time: number
  /** Filled when the server has read its body: a form at a token endpoint, a text at an API. */
  form?: Form
  body?: string
  status?: number
}

export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** Accepts the request and never answers it. */
  | { readonly hang: true }

type PlannedFault = { readonly role: Role; readonly path: string | undefined; readonly fault: Fault; times: number }

export class Traffic {
  readonly entries: Exchange[] = []
  readonly #faults: PlannedFault[] = []
  #count = 0

  begin(request: Pick<Exchange, 'role' | 'method' | 'path' | 'headers'>): Exchange {
    const exchange: Exchange = { ...request, index: this.#count++, time: Date.now() }
    this.entries.push(exchange)
    return exchange
  }

  /** The requests one server has received, the latest last; `path` narrows to one path, its query left aside. */
  of(role: Role, path?: string): readonly Exchange[] {
    return this.entries.filter((entry) => entry.role === role && (path === undefined || pathname(entry) === path))
  }

  at(index: number): Exchange | undefined {
    return this.entries.find((entry) => entry.index === index)
  }

  clear(): void {
    this.entries.length = 0
  }

  /** Makes the next requests to a server, or to one path of it, go wrong; `Infinity` lasts until `heal`. */
  fail(role: Role, fault: Fault, where: { readonly path?: string; readonly times?: number } = {}): void {
    this.#faults.push({ role, fault, path: where.path, times: where.times ?? 1 })
  }

  heal(): void {
    this.#faults.length = 0
  }

  faultFor(exchange: Exchange): Fault | undefined {
    const planned = this.#faults.find(
      (entry) =>
        entry.role === exchange.role &&
        entry.times > 0 &&
        (entry.path === undefined || entry.path === pathname(exchange)),
    )
    if (planned === undefined) return undefined
    planned.times -= 1
    return planned.fault
  }
}

function pathname(exchange: Exchange): string {
  return exchange.path.split('?', 1)[0] ?? exchange.path
}
