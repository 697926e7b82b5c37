// Which addresses may be called at all, wherever they come from: a configuration, or the metadata of somebody else.

/**
 * Whether a gateway may use this address at all. Local runs may use http and addresses, but only of this very machine;
 * everything else is https to a name (T20, T60). The judgement is the URL parser's, which knows 0x7f.1 for 127.0.0.1.
 */
export function reachFault(text: string, local: boolean): string | undefined {
  const { protocol, hostname } = new URL(text)
  const host = hostname.replace(/\.$/, '')
  const isLoopback = LOOPBACK_HOSTS.has(host)
  if (isLoopback || host.endsWith('.localhost')) {
    if (!local) return 'an address of this machine is for local runs only'
    if (isLoopback || protocol === 'https:') return undefined
  }
  if (/^[\d.]+$/.test(host) || host.startsWith('[')) return 'a host name is expected here, not an IP address'
  if (protocol !== 'https:') return 'https is required; http is for 127.0.0.1, [::1] and localhost in local runs'
  return undefined
}

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])
