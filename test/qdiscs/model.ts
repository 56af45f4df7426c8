import type { DeviceState, Operation } from '../../bandwidth/qdiscs/types.ts';
import { TC_CLSACT_PARENT, TC_ROOT } from '../../lib/netlink/tc-message.ts';

type FoundQdisc = DeviceState['qdiscs'][number];

export interface ModelDevice extends DeviceState {
  /** What the kernel puts at the root by itself. */
  readonly default: 'noqueue' | 'pfifo_fast' | 'mq';
  /** Queues in use. */
  readonly queues: number;
}

/** Qdiscs of a few devices as net/sched keeps them: a slow, plain twin of the kernel. */
export class FakeKernel {
  readonly devices = new Map<number, ModelDevice>();
  /** Kinds that it lacks. */
  readonly missing = new Set<string>();
  #nextHandle = 0x8001;

  addDevice(ifindex: number, kind: ModelDevice['default'], queues = 1, up = true): void {
    const device = { ifindex, name: `d${ifindex}`, qdisc: up ? kind : 'noop', classes: [], default: kind, queues };
    this.devices.set(ifindex, { ...device, qdiscs: up ? defaults({ default: kind, queues }) : [] });
  }

  /** As an admin or another program does it: over everything. */
  setForeignRoot(ifindex: number, qdisc: Omit<FoundQdisc, 'parent'>): void {
    const device = this.devices.get(ifindex)!;
    this.#set(device, [{ ...qdisc, parent: TC_ROOT }, ...clsactOf(device)], []);
  }

  setForeignLeaf(ifindex: number, parent: number, qdisc: Omit<FoundQdisc, 'parent'>): void {
    const device = this.devices.get(ifindex)!;
    this.#set(device, [...device.qdiscs.filter((q) => q.parent !== parent), { ...qdisc, parent }]);
  }

  list(): DeviceState[] {
    return [...this.devices.values()].map(({ ifindex, name, qdisc, qdiscs, classes }) => ({
      ifindex,
      name,
      qdisc,
      qdiscs,
      classes,
    }));
  }

  /** done, or the outcome that lib/netlink would report. */
  run(operation: Operation): string {
    const { place } = operation;
    const device = this.devices.get(place.ifindex);
    if (device === undefined) return 'absent';
    switch (operation.op) {
      case 'add':
        return this.#add(device, operation);
      case 'change': {
        const old = device.qdiscs.find((q) => q.parent === operation.place.parent);
        if (old?.handle !== operation.place.handle || old.kind !== operation.settings.kind) return 'absent';
        const options = { ...old.options, ...operation.settings } as FoundQdisc['options'];
        this.#set(
          device,
          device.qdiscs.map((q) => (q === old ? { ...q, options } : q)),
        );
        return 'done';
      }
      case 'set-leaf': {
        const { parent } = operation.place;
        if (!device.classes.some((c) => c.classId === parent)) return 'absent';
        const rest = device.qdiscs.filter((q) => q.parent !== parent);
        const handle = this.#nextHandle++ * 0x10000;
        this.#set(device, [...rest, { kind: operation.settings.kind, handle, parent, options: operation.settings }]);
        return 'done';
      }
      case 'delete':
        return this.#delete(device, operation.place);
      case 'set-class': {
        const root = device.qdiscs.find((q) => q.parent === TC_ROOT);
        if (root?.kind !== 'htb') return 'absent';
        const { classId, parent } = operation.place;
        const rest = device.classes.filter((c) => c.classId !== classId);
        this.#set(device, device.qdiscs, [...rest, { classId, parent, settings: operation.settings }]);
        return 'done';
      }
      case 'delete-class': {
        const { classId } = operation.place;
        if (!device.classes.some((c) => c.classId === classId)) return 'absent';
        // EBUSY of a real one.
        if (device.classes.some((c) => c.parent === classId)) throw new Error('the class has children');
        const qdiscs = device.qdiscs.filter((q) => q.parent !== classId);
        this.#set(
          device,
          qdiscs,
          device.classes.filter((c) => c.classId !== classId),
        );
        return 'done';
      }
    }
  }

  #add(device: ModelDevice, { place, settings }: Extract<Operation, { op: 'add' }>): string {
    const old = device.qdiscs.find((q) => q.parent === place.parent);
    if (old !== undefined && old.handle !== 0) return 'occupied';
    if (this.missing.has(settings.kind)) return 'kind-unknown';
    const made: FoundQdisc = { kind: settings.kind, handle: place.handle, parent: place.parent, options: settings };
    if (place.parent === TC_ROOT) {
      const leaves = settings.kind === 'mq' ? mqLeaves(place.handle, device.queues) : [];
      this.#set(device, [made, ...leaves, ...clsactOf(device)], []);
      return 'done';
    }
    if (old === undefined) return 'absent';
    this.#set(
      device,
      device.qdiscs.map((q) => (q === old ? made : q)),
    );
    return 'done';
  }

  #delete(device: ModelDevice, { parent, handle }: { parent: number; handle: number }): string {
    const old = device.qdiscs.find((q) => q.parent === parent);
    if (old === undefined || old.handle !== handle || handle === 0) return 'absent';
    if (parent === TC_ROOT) this.#set(device, [...defaults(device), ...clsactOf(device)], []);
    else
      this.#set(
        device,
        device.qdiscs.map((q) => (q === old ? fifo(parent) : q)),
      );
    return 'done';
  }

  #set(device: ModelDevice, qdiscs: readonly FoundQdisc[], classes = device.classes): void {
    const root = qdiscs.find((q) => q.parent === TC_ROOT);
    this.devices.set(device.ifindex, { ...device, qdiscs, classes, qdisc: root?.kind ?? device.default });
  }
}

function clsactOf(device: DeviceState): FoundQdisc[] {
  return device.qdiscs.filter((q) => q.parent === TC_CLSACT_PARENT);
}

function defaults({ default: kind, queues }: Pick<ModelDevice, 'default' | 'queues'>): FoundQdisc[] {
  const root: FoundQdisc = { kind, handle: 0, parent: TC_ROOT, options: { kind: kind === 'mq' ? 'mq' : 'other' } };
  return kind === 'mq' ? [root, ...mqLeaves(0, queues)] : [root];
}

function mqLeaves(handle: number, queues: number): FoundQdisc[] {
  return Array.from({ length: queues }, (_, i) => fifo(handle + i + 1));
}

function fifo(parent: number): FoundQdisc {
  return { kind: 'pfifo_fast', handle: 0, parent, options: { kind: 'other' } };
}
