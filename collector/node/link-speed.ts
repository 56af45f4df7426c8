import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** Drivers whose speed is a constant in their source or what a hypervisor's admin made up, not that of any wire. */
const INVENTED = new Set(['virtio_net', 'vmxnet3', 'xen-netfront', 'vif', 'hv_netvsc']);
const MAX_STACKED = 4;

/**
 * Bits per second that a device's hardware tells, or 0: not known. Only hardware, bonds of it, and what is stacked on
 * exactly one such device (VLAN) count: a veth says 10 Gbit/s whatever it runs on.
 */
export function hardwareSpeedBps(sysClassNet: string, device: string, depth = 0): number {
  const folder = `${sysClassNet}/${device}`;
  const driver = linkName(`${folder}/device/driver`);
  const isHardware = driver !== undefined && !INVENTED.has(driver);
  if (isHardware || exists(`${folder}/bonding`)) return readSpeedBps(`${folder}/speed`);
  if (driver !== undefined || depth >= MAX_STACKED) return 0;
  const lower = entries(folder).filter((name) => name.startsWith('lower_'));
  const [only] = lower;
  return only === undefined || lower.length > 1
    ? 0
    : hardwareSpeedBps(sysClassNet, only.slice('lower_'.length), depth + 1);
}

/** sysfs gives Mbit/s; -1 or EINVAL where the link is down or the driver does not know. */
function readSpeedBps(path: string): number {
  try {
    const megabits = Number(readFileSync(path, 'latin1'));
    return Number.isSafeInteger(megabits) && megabits > 0 && megabits < 2 ** 31 ? megabits * 1e6 : 0;
  } catch {
    return 0;
  }
}

function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  return entries(path).length > 0;
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
