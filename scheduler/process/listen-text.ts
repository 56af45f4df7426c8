import type { ListenAddress } from './options.ts';

/** HOST:PORT, IPv6 hosts in brackets. */
export function formatListen({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}
