// What scrolls sideways can be scrolled with the keyboard, too.
const scrolling = ".md-typeset pre > code, .md-typeset__scrollwrap, .diagram"

document$.subscribe(() => {
  for (const region of document.querySelectorAll(scrolling)) {
    region.tabIndex = region.scrollWidth > region.clientWidth ? 0 : -1
    if (region.tabIndex < 0) region.removeAttribute("tabindex")
  }
})
