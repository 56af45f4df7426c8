import type { Address } from './types.ts';

/** 'host:port' or '[v6]:port' or ':port' (all addresses); undefined: not one. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^:[\]\s/]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) return undefined;
  const v6 = match[1];
  if (v6 !== undefined) return v6.includes(':') ? { host: v6, port } : undefined;
  const host = match[2]!;
  if (host === '') return { host: '::', port };
  return isHost(host) ? { host, port } : undefined;
}

/** A DNS name or an IPv4 address. What looks like an IPv4 address must be one: '10.0.0.256' is a slip, not a name. */
function isHost(host: string): boolean {
  if (/^[\d.]+$/.test(host)) {
    const parts = host.split('.');
    return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
  }
  return (
    host.length <= 253 &&
    host.split('.').every((label, i, all) => isLabel(label) || (label === '' && i === all.length - 1))
  );
}

function isLabel(label: string): boolean {
  return /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label);
}

/** Reads back as the same address. */
export function formatAddress(address: Address): string {
  return address.host.includes(':')
    ? `[${address.host}]:${String(address.port)}`
    : `${address.host}:${String(address.port)}`;
}

/** Whether only this machine can be at `host` (a name, or an address without brackets). */
export function isLoopback(host: string): boolean {
  const bare = host.toLowerCase().replace(/^::ffff:/, '');
  return bare === '::1' || /^127\.\d+\.\d+\.\d+$/.test(bare) || /^(.+\.)?localhost\.?$/.test(bare);
}
