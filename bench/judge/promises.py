"""The system promises each invariant of the contract; here is what each says."""

INVARIANTS = {
    "money": "credit and totals of paid orders are what was added less what was subtracted",
    "stock": "stock and quantities of completed orders are what was added less what was taken",
    "never_negative": "no credit and no stock is ever negative, at any read",
    "final_state": "a 200 is in the final state, a 4xx or 503 left no effect, else one or none",
    "same_reply": "one request_id has one effect, and each resend gets the identical reply",
    "charged_once": "an order is charged at most once, and no checkout stays open",
    "no_crossed_replies": "no reply reaches another request",
}
