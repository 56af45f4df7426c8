import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hardwareSpeedBps } from '../../collector/node/link-speed.ts';
import { defaultRouteDevices, parseNetDev } from '../../collector/node/net-devices.ts';
import { parseRunMisses } from '../../collector/node/run-misses.ts';
import { parseScopeFile } from '../../collector/node/scope-file.ts';
import { Scope } from '../../collector/node/scope.ts';
import { UplinkReader } from '../../collector/node/uplinks.ts';
import type { Logger } from '../../lib/log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nlt-node-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100       1    0    0    0     0          0         0 100       1    0    0    0     0       0          0
  eth0: 12345678901 2 0 0 0 0 0 0 987654321012 4 0 0 0 0 0 0
bond0.7:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
eth9: garbage
`;
const ROUTE = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
dead0\t00000000\t0102000A\t0200\t0\t0\t0\t00000000\t0\t0\t0
`;
const ROUTE6 = `00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1
fd000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth2
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`;

describe('/proc/net', () => {
  it('device counters', () => {
    const devices = parseNetDev(NET_DEV);
    expect(devices.get('eth0')).toEqual({ rxBytes: 12345678901, txBytes: 987654321012 });
    expect(devices.get('bond0.7')).toEqual({ rxBytes: 5, txBytes: 6 });
    expect(devices.has('eth9')).toBe(false);
    expect(parseNetDev('').size).toBe(0);
  });

  it('devices of default routes, IPv4 and IPv6, without unreachable ones', () => {
    expect(defaultRouteDevices(ROUTE, ROUTE6)).toEqual(['eth0', 'eth1']);
    expect(defaultRouteDevices('', '')).toEqual([]);
  });
});

describe('speed of a device', () => {
  function device(name: string, files: { speed?: string; driver?: string; bonding?: boolean; lower?: string[] }): void {
    const at = join(folder, name);
    mkdirSync(at);
    if (files.speed !== undefined) writeFileSync(join(at, 'speed'), files.speed);
    if (files.driver !== undefined) {
      mkdirSync(join(at, 'device'));
      symlinkSync(`../../drivers/${files.driver}`, join(at, 'device', 'driver'));
    }
    if (files.bonding === true) {
      mkdirSync(join(at, 'bonding'));
      writeFileSync(join(at, 'bonding', 'mode'), '');
    }
    for (const lower of files.lower ?? []) symlinkSync(`../${lower}`, join(at, `lower_${lower}`));
  }

  it.each([
    ['hardware', { driver: 'ice', speed: '25000\n' }, 25e9],
    ['hardware whose link is down', { driver: 'ice', speed: '-1\n' }, 0],
    ['hardware that does not tell', { driver: 'ena' }, 0],
    ['virtio makes it up', { driver: 'virtio_net', speed: '10000\n' }, 0],
    ['veth makes it up', { speed: '10000\n' }, 0],
    ['a bond', { bonding: true, speed: '50000\n', lower: ['a', 'b'] }, 50e9],
  ] as const)('%s', (_name, files, bps) => {
    device('x', { ...files, lower: 'lower' in files ? [...files.lower] : [] });
    expect(hardwareSpeedBps(folder, 'x')).toBe(bps);
  });

  it('a VLAN has the speed of what it runs on; a bridge of several has none', () => {
    device('eth0', { driver: 'mlx5_core', speed: '100000\n' });
    device('eth1', { driver: 'mlx5_core', speed: '100000\n' });
    device('eth0.5', { speed: '100000\n', lower: ['eth0'] });
    device('br0', { speed: '100000\n', lower: ['eth0', 'eth1'] });
    device('loop', { lower: ['loop'] });
    expect(hardwareSpeedBps(folder, 'eth0.5')).toBe(100e9);
    expect(hardwareSpeedBps(folder, 'br0')).toBe(0);
    expect(hardwareSpeedBps(folder, 'loop')).toBe(0);
    expect(hardwareSpeedBps(folder, 'absent')).toBe(0);
  });
});

describe('uplinks', () => {
  const write = (dev: string): void => {
    writeFileSync(join(folder, 'dev'), dev);
    writeFileSync(join(folder, 'route'), ROUTE);
  };
  const line = (name: string, rx: number, tx: number): string => `${name}: ${rx} 0 0 0 0 0 0 0 ${tx} 0 0 0 0 0 0 0\n`;

  it('tells what moved since the last reading, of the devices with a default route', () => {
    write(line('eth0', 100, 200) + line('eth1', 1, 1));
    const reader = new UplinkReader({ procNet: folder, sysClassNet: folder });
    write(line('eth0', 150, 300) + line('eth1', 9, 9));
    const unknown = { speedBps: 0, speedSource: 'unknown' };
    expect(reader.read()).toEqual([{ name: 'eth0', rxBytes: 50, txBytes: 100, ...unknown }]);
    expect(reader.read()).toEqual([{ name: 'eth0', rxBytes: 0, txBytes: 0, ...unknown }]);
    // The device was made anew.
    write(line('eth0', 7, 8));
    expect(reader.read()).toEqual([{ name: 'eth0', rxBytes: 7, txBytes: 8, ...unknown }]);
    write('');
    expect(reader.read()).toEqual([]);
  });

  it('names and speeds that the admin gives come first', () => {
    write(line('eth0', 0, 0) + line('eth1', 0, 0));
    const options = { procNet: folder, sysClassNet: folder };
    const speeds = (reader: UplinkReader): unknown => reader.read().map((u) => [u.name, u.speedBps, u.speedSource]);
    expect(speeds(new UplinkReader({ ...options, names: ['eth1', 'gone'], speedBps: 1e9 }))).toEqual([
      ['eth1', 1e9, 'configured'],
    ]);
    expect(speeds(new UplinkReader({ ...options, names: ['eth0', 'eth1'], speedBps: { eth1: 5e9 } }))).toEqual([
      ['eth0', 0, 'unknown'],
      ['eth1', 5e9, 'configured'],
    ]);
  });

  it('a namespace that is gone has no uplinks', () => {
    expect(new UplinkReader({ netns: join(folder, 'absent') }).read()).toEqual([]);
  });
});

describe('scope file', () => {
  it('has a path a line; comments and empty lines say nothing', () => {
    expect(parseScopeFile('# pods\n/run/netns/a\r\n\n  /run/netns/b c \n')).toEqual([
      { line: 2, path: '/run/netns/a' },
      { line: 4, path: '/run/netns/b c' },
    ]);
  });

  it('warns once for a line that is not used, counts it each time, and uses the rest', () => {
    const warnings: object[] = [];
    const logger = { warn: (_: string, fields: object) => warnings.push(fields) } as unknown as Logger;
    const file = join(folder, 'scope');
    writeFileSync(file, `/proc/self/ns/net\n/nowhere\n${file}\n/proc/self/ns/net\n`);
    const seen: number[] = [];
    const scope = new Scope({ file, logger, maxNamespaces: 1, onChange: (inodes) => seen.push(inodes.size) });
    scope.refresh();
    scope.close();
    expect(seen).toEqual([1]);
    expect(scope.status).toEqual({ namespaces: 1, badLines: 2, readable: true });
    expect(warnings).toMatchObject([
      { line: 2, path: '/nowhere' },
      { line: 3, problem: 'no namespace file' },
    ]);
  });

  it('a file that is not there yet measures nothing, and is used when it comes', () => {
    const logger = { warn: () => undefined } as unknown as Logger;
    const file = join(folder, 'scope');
    const seen: number[] = [];
    const scope = new Scope({ file, logger, maxNamespaces: 9, onChange: (inodes) => seen.push(inodes.size) });
    writeFileSync(file, '/proc/self/ns/net');
    scope.refresh();
    scope.close();
    expect(seen).toEqual([0, 1]);
  });
});

it('misses of a program are read from its fdinfo', () => {
  expect(parseRunMisses('pos:\t0\nrun_cnt:\t7\nrecursion_misses:\t12\n')).toBe(12);
  expect(parseRunMisses('pos:\t0\n')).toBe(0);
});
