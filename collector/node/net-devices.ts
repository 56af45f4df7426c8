/** Pure readers of the texts under /proc/net. */

export interface DeviceCounters {
  readonly rxBytes: number;
  readonly txBytes: number;
}

/** /proc/net/dev: wire bytes by device. Lines that do not parse are skipped. */
export function parseNetDev(text: string): ReadonlyMap<string, DeviceCounters> {
  const devices = new Map<string, DeviceCounters>();
  for (const line of text.split('\n')) {
    const colon = line.lastIndexOf(':');
    if (colon < 0) continue;
    const fields = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    const [rxBytes, txBytes] = [fields[0], fields[8]];
    if (rxBytes === undefined || txBytes === undefined || !Number.isFinite(rxBytes + txBytes)) continue;
    devices.set(line.slice(0, colon).trim(), { rxBytes, txBytes });
  }
  return devices;
}

const RTF_UP = 0x1;
const RTF_REJECT = 0x200;

/** Devices of default routes: /proc/net/route (IPv4) and /proc/net/ipv6_route. Sorted, each once. */
export function defaultRouteDevices(ipv4: string, ipv6: string): readonly string[] {
  const devices = new Set<string>();
  for (const line of ipv4.split('\n')) {
    const [device, destination, , flags, , , , mask] = line.trim().split(/\s+/);
    if (device === undefined || destination !== '00000000' || mask !== '00000000') continue;
    if ((parseInt(flags ?? '0', 16) & (RTF_UP | RTF_REJECT)) === RTF_UP) devices.add(device);
  }
  for (const line of ipv6.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const device = fields[9];
    if (device === undefined || device === 'lo' || fields[0] !== '0'.repeat(32) || fields[1] !== '00') continue;
    if ((parseInt(fields[8] ?? '0', 16) & (RTF_UP | RTF_REJECT)) === RTF_UP) devices.add(device);
  }
  return [...devices].sort();
}
