// The faults that tests inject into the memory ground.

/** What a test can do to one kind of call: let it throw, or let it never answer. */
export type Fault = 'throw' | 'hang'

/** Does what was injected, before the call has had any effect. */
export async function injected(fault: Fault | undefined, what: string): Promise<void> {
  if (fault === 'throw') throw new Error(`${what} failed: 500 Internal Server Error`)
  if (fault === 'hang') await new Promise<never>(() => undefined)
}
