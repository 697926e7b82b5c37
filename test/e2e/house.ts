// The whole house for an end-to-end file: the local world, and the built Worker in workerd before it.

import { launchGateway, type RunningGateway } from '../../src/cli/launch.ts'
import { startWorld, type World } from '../../dev/world.ts'

export type House = {
  readonly world: World
  readonly gateway: RunningGateway
  /** The audit events written so far. */
  readonly events: readonly Record<string, unknown>[]
  /** Everything the Worker printed. */
  readonly output: () => string
  readonly close: () => Promise<void>
}

export type HouseOptions = {
  readonly instances?: number
  readonly accessTokenSeconds?: number
  readonly accessTokens?: 'jwt' | 'opaque'
  /** Whether the identity provider and the tasks server want nonces of their own in DPoP proofs. */
  readonly proofNonces?: boolean
  /** Changes the text of the development configuration. */
  readonly edit?: (text: string) => string
  /** Starts what stands beside the world. */
  readonly extend?: (world: World) => Promise<Extension>
}

export type Extension = {
  readonly edit: (text: string) => string
  readonly secrets: Readonly<Record<string, string>>
  readonly close: () => Promise<void>
}

export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const { accessTokenSeconds = 3600, accessTokens = 'jwt', proofNonces = false } = options
  const world = await startWorld({ accessTokenSeconds, accessTokens, proofNonces })
  const lines: string[] = []
  const events: Record<string, unknown>[] = []
  const edit = options.edit ?? ((text: string) => text)
  let extension: Extension | undefined
  const closeBeside = async () => {
    await extension?.close()
    await world.close()
  }
  try {
    extension = await options.extend?.(world)
    const extend = extension?.edit ?? ((text: string) => text)
    const gateway = await launchGateway({
      config: { fileName: 'jagway.dev.jsonc', text: (origin) => extend(edit(world.config(origin))) },
      secrets: { ...world.secrets(), ...extension?.secrets },
      instances: options.instances ?? 1,
      onLog: ({ message }) => {
        lines.push(message)
        const event: unknown = message.startsWith('{') ? JSON.parse(message) : undefined
        if (typeof event === 'object' && event !== null) events.push({ ...event })
      },
    })
    const close = async () => {
      await gateway.close()
      await closeBeside()
    }
    return { world, gateway, events, output: () => lines.join('\n'), close }
  } catch (error) {
    await closeBeside()
    throw error
  }
}

/** Waits until something that happens behind an answer has happened. */
export async function eventually(condition: () => boolean, deadlineMs = 5_000): Promise<void> {
  const start = Date.now()
  while (!condition()) {
    if (Date.now() - start > deadlineMs) throw new Error('it did not happen in time')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
