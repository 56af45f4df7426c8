/** Figures for people: three significant digits, unit behind. Exact figures are in `-o json`. Pure. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const BIT_UNITS = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'];

/** 1536 -> '1.5 KiB' */
export function humanBytes(bytes: number): string {
  return scaled(bytes, 1024, BYTE_UNITS);
}

/** 2_500_000 -> '2.5 Mbit/s'. Takes bits per second. */
export function humanBitrate(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, 1000, BIT_UNITS);
}

/** 1234567 -> '1,234,567' */
export function humanCount(count: number): string {
  if (!Number.isFinite(count)) return '-';
  const [whole, fraction] = String(count).split('.');
  if (whole!.includes('e')) return String(count);
  return whole!.replace(/\B(?=(\d{3})+$)/g, ',') + (fraction === undefined ? '' : `.${fraction}`);
}

/** 1 -> '1 node', 1234 -> '1,234 nodes' */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${humanCount(count)} ${count === 1 ? one : many}`;
}

/** 0.1234 -> '12.3 %'; a share that is not nothing never shows as '0 %', one that is not all never as '100 %'. */
export function humanShare(share: number): string {
  if (!Number.isFinite(share)) return '-';
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return '<0.1 %';
  if (percent < 100 && percent > 99.9) return '>99.9 %';
  return `${significant(percent)} %`;
}

/** 93_000 -> '1m 33s'; two units at most. */
export function humanDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  if (ms < 0) return `-${humanDuration(-ms)}`;
  if (ms < 1) return ms === 0 ? '0 s' : `${significant(ms * 1000)} us`;
  if (ms < 1000) return `${significant(ms)} ms`;
  if (ms < 60_000) return `${significant(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${String(count)}${unit}`)
    .join(' ');
}

function scaled(value: number, base: number, units: readonly string[]): string {
  if (!Number.isFinite(value)) return '-';
  if (value < 0) return `-${scaled(-value, base, units)}`;
  let rest = value;
  let unit = 0;
  // 999.96 would be shown as 1000: the next unit starts where rounding reaches it.
  while (unit < units.length - 1 && Number(significant(rest)) >= base) {
    rest /= base;
    unit++;
  }
  return `${significant(rest)} ${units[unit]!}`;
}

/** Three significant digits, never in powers of ten, whole part never cut. */
function significant(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return String(Number(value.toFixed(size >= 10 ? 1 : 2)));
}
