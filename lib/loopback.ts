/** Whether a host, as a listener or caller names it (IPv6 without brackets), is this machine alone. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}
