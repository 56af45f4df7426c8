import { isLoopbackHost } from '../../lib/loopback.ts';

/** Whether only this machine can reach a listen address of the form HOST:PORT, [V6]:PORT or unix:PATH. */
export function isLoopback(listen: string): boolean {
  if (listen.startsWith('unix:')) return true;
  return isLoopbackHost(hostOf(listen));
}

/** HOST of HOST:PORT, without the brackets of IPv6; empty: all addresses. */
export function hostOf(listen: string): string {
  const bracketed = /^\[(.*)\]:\d+$/.exec(listen);
  return bracketed?.[1] ?? listen.slice(0, Math.max(0, listen.lastIndexOf(':')));
}

/** The same address with the port that was really bound. */
export function withPort(listen: string, port: number): string {
  if (listen.startsWith('unix:')) return listen;
  const host = hostOf(listen);
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
