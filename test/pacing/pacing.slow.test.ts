import { CASES } from './cases/index.ts';
import { testGuests } from './outcomes.ts';
import { planGuests } from './plan.ts';

// pacing.test.ts runs the others on 6.12.
const rest = CASES.filter(({ ci }) => !ci);
testGuests([...planGuests(rest, ['6.12']), ...planGuests(CASES, ['6.1'])]);
