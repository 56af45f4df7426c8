import type { Case, Figures } from './cases/case.ts';
import { prepareGuests, type Guest } from './guest/prepare.ts';
import type { KernelName } from './guest/kernels.ts';
import type { GuestPlan } from './plan.ts';
import { runGuest } from './runner.ts';

/** A machine with two cores runs two guests, and nothing is gained by more. */
const AT_ONCE = 2;

export interface Result {
  readonly kernel: KernelName;
  readonly of: Case;
  /** Or what went wrong. */
  readonly outcome: { readonly figures: Figures; readonly virtualMs: number } | { readonly error: string };
}

/** Runs guests, two at a time; `onResult` is called for every case of every plan once. */
export async function runPlans(
  plans: readonly GuestPlan[],
  onResult: (result: Result) => void,
  signal?: AbortSignal,
): Promise<void> {
  const guests = await prepareGuests([...new Set(plans.map(({ kernel }) => kernel))]);
  const queue = [...plans];
  const work = async (): Promise<void> => {
    for (let plan = queue.shift(); plan !== undefined; plan = queue.shift()) {
      await runPlan(guests.get(plan.kernel)!, plan, onResult, signal);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function runPlan(
  guest: Guest,
  plan: GuestPlan,
  onResult: (result: Result) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { kernel, shift, without } = plan;
  const waiting = new Map(plan.cases.map((entry) => [entry.id, entry]));
  const finish = (id: string, outcome: Result['outcome']): void => {
    const of = waiting.get(id);
    if (of === undefined) return;
    waiting.delete(id);
    onResult({ kernel, of, outcome });
  };
  let problem = 'the guest did not run it';
  try {
    await runGuest(
      guest,
      { shift, without, cases: [...waiting.keys()] },
      (message) => {
        if (message.type === 'case') finish(message.id, message);
        else if (message.type === 'failed') finish(message.id, { error: message.error });
      },
      signal,
    );
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  for (const id of [...waiting.keys()]) finish(id, { error: problem });
}
