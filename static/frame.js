// Drawing is asked for as often as anything changes, and done at most once an animation frame. A
// hidden page gets no frames: it draws the newest state when it is looked at again.

const due = new Set();

/** Has `task` run in the next frame, once, however often it is asked for. */
export function soon(task) {
  if (due.size === 0) requestAnimationFrame(run);
  due.add(task);
}

function run() {
  const tasks = [...due];
  due.clear();
  for (const task of tasks) {
    try {
      task();
    } catch (error) {
      reportError(error); // One part that fails must not take the others with it.
    }
  }
}
