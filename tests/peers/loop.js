// SPDX-License-Identifier: Apache-2.0
// loop: runs workflows when told to, as a line on stdin says, and answers with one line of JSON on stdout.
//
//   one COUNT              one after another; answers {"us": [microseconds of each, from its request to its result]}
//   many IN_FLIGHT SECONDS that many at once for so long; answers {"runs": ended, "seconds": until the last had ended}
//
// The end of stdin ends the program, so it never outlives who started it. A workflow that fails, or whose result is not the number of its steps,
// ends the program with a message on stderr and status 1.
import readline from 'node:readline';

export const STEPS = 5;
const LEAVE_MS = 5000; // after the end of stdin, should what is under way never end

/** Says one line. */
export const say = (object) => process.stdout.write(JSON.stringify(object) + '\n');

async function one(run, count) {
    const us = [];
    for (let i = 0; i < count; i++) {
        const start = performance.now();
        await run();
        us.push((performance.now() - start) * 1000);
    }
    return { us };
}

async function many(run, inFlight, seconds) {
    const start = performance.now();
    const end = start + seconds * 1000;
    let runs = 0;
    const keepOne = async () => {
        while (performance.now() < end) {
            await run();
            runs++;
        }
    };
    await Promise.all(Array.from({ length: inFlight }, keepOne));
    return { runs, seconds: (performance.now() - start) / 1000 };
}

/** Serves the lines of stdin until its end. `runOne()` runs a workflow of STEPS steps and gives its result. */
export async function serveLines(runOne) {
    const run = async () => {
        const result = await runOne();
        if (result !== STEPS)
            throw new Error(`the result is ${JSON.stringify(result)}, not ${STEPS}`);
    };
    process.stdin.on('end', () => setTimeout(() => process.exit(1), LEAVE_MS).unref());
    say({ ready: true, node: process.version });
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [word, ...numbers] = line.split(' ');
        if (word === 'one')
            say(await one(run, Number(numbers[0])));
        else if (word === 'many')
            say(await many(run, Number(numbers[0]), Number(numbers[1])));
        else
            throw new Error(`unknown line: ${line}`);
    }
}
