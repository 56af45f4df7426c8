import { closeSync, openSync, readFileSync } from 'node:fs';
import { inNetns } from '../../lib/bpf/index.ts';
import type { Uplink } from '../../proto/report.ts';
import { hardwareSpeedBps } from './link-speed.ts';
import { defaultRouteDevices, parseNetDev, type DeviceCounters } from './net-devices.ts';

export interface UplinkOptions {
  /** Devices by name; default: those with a default route. */
  readonly names?: readonly string[];
  /** What the admin says a device can do, bits/s. Beats what the device says. */
  readonly speedBps?: Readonly<Record<string, number>> | number;
  /** Path of the network namespace whose uplinks are meant. Default: that of this process. */
  readonly netns?: string;
  /** Default /proc/thread-self/net. */
  readonly procNet?: string;
  /** Default /sys/class/net: that of the namespace in which /sys was mounted, so not asked for another `netns`. */
  readonly sysClassNet?: string;
}

/** Counters of a device, wire bytes since it was made. */
export interface DeviceReading extends DeviceCounters {
  readonly name: string;
}

/** Devices of a node beyond this many (a mistake in the routes) are not reported. */
const MAX_UPLINKS = 64;

const OWN_NET = '/proc/thread-self/net';

/** Wire bytes of the devices through which traffic leaves the node, from the kernel's device counters. */
export class UplinkReader {
  private readonly options: UplinkOptions;
  private before: ReadonlyMap<string, DeviceCounters>;

  constructor(options: UplinkOptions = {}) {
    this.options = options;
    this.before = this.look().counters;
  }

  /** The counters up to which `read` has told; for `restore` of another reader. */
  save(): readonly DeviceReading[] {
    return [...this.before].map(([name, { txBytes, rxBytes }]) => ({ name, txBytes, rxBytes }));
  }

  restore(readings: readonly DeviceReading[]): void {
    this.before = new Map(readings.map(({ name, txBytes, rxBytes }) => [name, { txBytes, rxBytes }]));
  }

  /** What each uplink moved since the last call. A new device starts with this call; one whose counters went back was made anew and counts from zero. */
  read(): readonly Uplink[] {
    const { counters: now, routed } = this.look();
    const { names = [] } = this.options;
    const uplinks: Uplink[] = [];
    for (const name of (names.length > 0 ? names : routed).slice(0, MAX_UPLINKS)) {
      const counters = now.get(name);
      if (counters === undefined) continue;
      const before = this.before.get(name);
      const added = (a: number, b: number | undefined): number => (b === undefined ? 0 : a >= b ? a - b : a);
      uplinks.push({
        name,
        txBytes: added(counters.txBytes, before?.txBytes),
        rxBytes: added(counters.rxBytes, before?.rxBytes),
        ...this.speedOf(name),
      });
    }
    this.before = now;
    return uplinks;
  }

  private speedOf(name: string): Pick<Uplink, 'speedBps' | 'speedSource'> {
    const { speedBps: said, sysClassNet = '/sys/class/net' } = this.options;
    const configured =
      typeof said === 'number' ? said : said !== undefined && Object.hasOwn(said, name) ? said[name] : undefined;
    if (configured !== undefined) return { speedBps: configured, speedSource: 'configured' };
    if (this.options.netns !== undefined && this.options.sysClassNet === undefined) {
      return { speedBps: 0, speedSource: 'unknown' };
    }
    const speedBps = hardwareSpeedBps(sysClassNet, name);
    return { speedBps, speedSource: speedBps === 0 ? 'unknown' : 'device' };
  }

  /** Never throws: a namespace that is gone has no devices. */
  private look(): { counters: ReadonlyMap<string, DeviceCounters>; routed: readonly string[] } {
    const read = (folder: string): ReturnType<UplinkReader['look']> => ({
      counters: parseNetDev(text(folder, 'dev')),
      routed: defaultRouteDevices(text(folder, 'route'), text(folder, 'ipv6_route')),
    });
    const { netns } = this.options;
    if (netns === undefined) return read(this.options.procNet ?? OWN_NET);
    const procNet = procNetOf(netns);
    if (procNet !== undefined) return read(procNet);
    try {
      const fd = openSync(netns, 'r');
      try {
        return inNetns(fd, () => read(OWN_NET));
      } finally {
        closeSync(fd);
      }
    } catch {
      return { counters: new Map(), routed: [] };
    }
  }
}

/**
 * /proc/PID/ns/net cannot be opened without CAP_SYS_PTRACE nor entered without CAP_SYS_ADMIN, but anybody may read the
 * devices of that namespace in /proc/PID/net: an agent in a pod that sees the host's processes names /proc/1/ns/net.
 */
function procNetOf(netns: string): string | undefined {
  const pid = /^\/proc\/([1-9][0-9]*)\/ns\/net$/.exec(netns)?.[1];
  return pid === undefined ? undefined : `/proc/${pid}/net`;
}

function text(folder: string, name: string): string {
  try {
    return readFileSync(`${folder}/${name}`, 'latin1');
  } catch {
    return '';
  }
}
