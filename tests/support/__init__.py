"""What tests share: waiting, real processes, own servers, a proxy that loses answers, clean databases."""
